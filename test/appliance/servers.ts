/** The guest's server, run as a plain program, and the upstream one that it must agree with. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { execa, type ResultPromise } from "execa";
import { buildInit } from "../../src/appliance/init.js";
import { cacheDir } from "../../src/paths.js";

const START_MS = 30_000;
const untilKilled = { reject: false, forceKillAfterDelay: 10_000 } as const;

export interface Server extends AsyncDisposable {
  url: string;
  /** Asks it to end and waits: its exit status. */
  stop: () => Promise<number | undefined>;
}

/** The guest's `/init`: MICROVM_INIT_BIN, or built from the sources. */
export const initBinary = async (): Promise<string> =>
  process.env["MICROVM_INIT_BIN"] ?? (await buildInit({ cacheDir: join(cacheDir(), "appliance") }));

/** Serves a store with the guest's own server. */
export async function startInit(file: string): Promise<Server> {
  const subprocess = execa(await initBinary(), ["--serve", file, "--listen", "127.0.0.1:0"], untilKilled);
  const line = await firstLine(subprocess.stderr);
  const address = / on (127\.0\.0\.1:\d+)$/.exec(line)?.[1];
  if (!address) throw new Error(`init does not serve: ${line}`);
  return server(`http://${address}`, subprocess);
}

/** Serves a store with rvf-server 0.3.0: RVF_SERVER_BIN. It writes beside the file. */
export async function startRvfServer(file: string): Promise<Server> {
  const binary = process.env["RVF_SERVER_BIN"];
  if (!binary) throw new Error("RVF_SERVER_BIN names no rvf-server; `npm test` gets one and sets it.");
  const [port, tcpPort] = await freePorts();
  const args = ["--port", `${port}`, "--tcp-port", `${tcpPort}`, "--data-dir", file];
  const subprocess = execa(binary, args, untilKilled);
  const url = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + START_MS;
  while (!(await fetch(`${url}/v1/health`).catch(() => undefined))?.ok) {
    if (subprocess.exitCode !== null || Date.now() > deadline) throw new Error("rvf-server does not serve");
    await sleep(20);
  }
  return server(url, subprocess);
}

function server(url: string, subprocess: ResultPromise<typeof untilKilled>): Server {
  const stop = async (): Promise<number | undefined> => {
    subprocess.kill();
    return (await subprocess).exitCode;
  };
  return {
    url,
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

async function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  const lines = createInterface({ input: stream });
  const [line] = (await Promise.race([once(lines, "line"), once(lines, "close")])) as [string?];
  return line ?? "it has ended";
}

/** Two ports that nobody listens on now. Both are held at once, so that they differ. */
async function freePorts(): Promise<number[]> {
  const holders = [createServer(), createServer()];
  for (const holder of holders) await once(holder.listen(0, "127.0.0.1"), "listening");
  const ports = holders.map((holder) => (holder.address() as AddressInfo).port);
  for (const holder of holders) await once(holder.close(), "close");
  return ports;
}
