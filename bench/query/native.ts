/** The guest's own server as a program of this host, which it is too. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { freePort } from "../../test/support/ports.js";

export interface Native extends AsyncDisposable {
  port: number;
}

/** Returns once it serves. Throws its last words where it does not. */
export async function serveNatively(binary: string, rvfPath: string): Promise<Native> {
  const port = await freePort();
  const server = spawn(binary, ["--serve", rvfPath, "--listen", `127.0.0.1:${port}`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = once(server, "close");
  let last = "it said nothing";
  for await (const line of createInterface(server.stderr)) {
    last = line;
    if (line.includes("serving")) break;
  }
  if (server.exitCode !== null || !last.includes("serving"))
    throw new Error(`No server on the host: ${last}`);
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.kill();
      await ended;
    },
  };
}
