import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { apiUrl, assertPortFree, isPortFree } from "../../../src/launcher/ports/ports.js";
import { vmsDir } from "../../../src/paths.js";

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
      hint: "Stop that process, or choose another sshPort, where 0 takes a free one.",
    });
  } finally {
    server.close();
  }
});

test.each([
  ["of this state folder", vmsDir(), ""],
  ["of another one", "/home/me/vms", "MICROVM_STATE_DIR=/home/me "],
])("one that a VM %s has is told by the VM, and by what ends that", async (_, vms, where) => {
  const script =
    'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => console.log(s.address().port))';
  const child = spawn(process.execPath, ["-e", script, "--", "-pidfile", `${vms}/db-1/2/qemu.pid`, "-S"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const [port] = (await once(child.stdout, "data")) as [Buffer];
    await expect(assertPortFree(Number(port), "apiPort")).rejects.toMatchObject({
      message: `port ${Number(port)} on 127.0.0.1 is taken by the VM db-1 (pid ${child.pid})`,
      hint: `\`${where}microvm stop db-1\` ends it, or choose another apiPort, where 0 takes a free one.`,
    });
  } finally {
    child.kill("SIGKILL");
  }
});

test("the same port on another address is another port", async () => {
  const { server, port } = await listener("127.0.0.2");
  try {
    await assertPortFree(port, "apiPort");
    for (const address of ["127.0.0.2", "0.0.0.0"]) {
      expect(await isPortFree(port, address)).toBe(false);
      await expect(assertPortFree(port, "apiPort", address)).rejects.toMatchObject({
        code: "PortInUse",
        message: expect.stringContaining(
          `port ${port} on ${address} is taken by pid ${process.pid} `,
        ) as string,
      });
    }
  } finally {
    server.close();
  }
});

test("an address that is none of this host is refused, also for any port", async () => {
  for (const port of [0, 50_000])
    await expect(assertPortFree(port, "apiPort", "192.0.2.1")).rejects.toMatchObject({
      code: "InvalidArgument",
      property: "bindAddress",
    });
});

test("the URL is where this host reaches the guest", () => {
  expect(apiUrl(80)).toBe("http://127.0.0.1:80");
  expect(apiUrl(80, "192.168.1.2")).toBe("http://192.168.1.2:80");
  expect(apiUrl(80, "0.0.0.0")).toBe("http://127.0.0.1:80");
});

test("a port is free again once its listener is gone, and 0 always is", async () => {
  const { server, port } = await listener("127.0.0.1");
  server.close();
  await once(server, "close");
  await assertPortFree(port, "apiPort");
  await assertPortFree(0, "apiPort");
});
