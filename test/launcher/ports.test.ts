import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { assertPortFree } from "../../src/launcher/ports.js";

async function listener(host?: string): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}

test.each(["127.0.0.1", "0.0.0.0", "::"])("a port taken on %s is refused with its holder", async (host) => {
  const { server, port } = await listener(host);
  try {
    await expect(assertPortFree(port, "sshPort")).rejects.toMatchObject({
      code: "PortInUse",
      property: "sshPort",
      message: expect.stringMatching(
        `^port ${port} on 127\\.0\\.0\\.1 is taken by pid ${process.pid} \\(.+\\)$`,
      ) as string,
      hint: "Stop that process, choose another sshPort, or sshPort: 0 for a free one.",
    });
  } finally {
    server.close();
  }
});

test("a port is free again once its listener is gone, and 0 always is", async () => {
  const { server, port } = await listener("127.0.0.1");
  server.close();
  await once(server, "close");
  await assertPortFree(port, "apiPort");
  await assertPortFree(0, "apiPort");
});
