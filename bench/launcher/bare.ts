/** The floor: the same QEMU with the same arguments, started by a shell, asked as tightly as can be, and ended by a signal. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, stat } from "node:fs/promises";
import { request } from "node:http";
import { dirname, join } from "node:path";
import { dryRun } from "../../src/launcher/index.js";
import { freePort } from "../../test/support/ports.js";

/** Between two questions, and how long one may take, in milliseconds. */
const poll = { pause: 2, patience: 100 };

export interface Bare {
  /** From the start of the shell to the first answered query. */
  millis: number;
  /** From the guest's ready line to that, by the file's time. */
  afterReady: number;
  end: () => Promise<void>;
}

/** Starts it and waits until a query is answered with 200. */
export async function startBare(rvfPath: string, vector: number[]): Promise<Bare> {
  const apiPort = await freePort();
  const { argv } = await dryRun({ rvfPath, apiPort, enableKvm: false });
  // Each has files of its own where the dry run has placeholders.
  const own = argv.map((word) => word.replaceAll("/dry-run/", `/bare-${apiPort}/`));
  const folder = dirname(own[own.indexOf("-pidfile") + 1]!);
  await mkdir(folder, { recursive: true });
  const start = performance.now();
  const qemu = spawn("/bin/sh", ["-c", 'exec "$@"', "sh", ...own], { stdio: "ignore" });
  const ended = once(qemu, "exit");
  while (!(await answers(apiPort, vector))) {
    if (qemu.exitCode !== null) throw new Error(`The bare QEMU ended with status ${qemu.exitCode}.`);
    await new Promise((done) => setTimeout(done, poll.pause));
  }
  const now = performance.now();
  const { mtimeMs } = await stat(join(folder, "ready.pipe"));
  return {
    millis: now - start,
    afterReady: performance.timeOrigin + now - mtimeMs,
    end: async () => {
      qemu.kill("SIGKILL");
      await ended;
      await rm(dirname(folder), { recursive: true });
    },
  };
}

async function answers(port: number, vector: number[]): Promise<boolean> {
  const body = JSON.stringify({ vector, k: 1 });
  return await new Promise((done) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const at = { port, path: "/v1/query", agent: false, timeout: poll.patience };
    const asked = request({ ...at, method: "POST", headers });
    asked.on("response", (reply) => {
      reply.resume();
      done(reply.statusCode === 200);
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => done(false));
    asked.end(body);
  });
}
