/** Host ports: whether one is free, and who has it when it is not. */
import { readFile, readdir, readlink } from "node:fs/promises";
import { createServer } from "node:net";
import { MicroVmError, systemErrorCode } from "../errors.js";

/** Base of the HTTP API behind a forwarded port. */
export const apiUrl = (port: number): string => `http://127.0.0.1:${port}`;

/** Whether nothing listens there, and this user may. */
export const isPortFree = async (port: number): Promise<boolean> => (await tryListen(port)) === undefined;

/** Throws PortInUse, naming the holder where that can be had; InvalidArgument when this user may not bind it. */
export async function assertPortFree(port: number, property: "apiPort" | "sshPort"): Promise<void> {
  if (port === 0) return;
  const failure = await tryListen(port);
  if (failure === undefined) return;
  if (failure === "EACCES") {
    throw new MicroVmError("InvalidArgument", `port ${port} needs privileges that this user does not have`, {
      hint: "Choose a port above 1023.",
      property,
    });
  }
  throw portInUse(port, property, await portHolder(port));
}

export function portInUse(port: number, property: "apiPort" | "sshPort", holder?: string): MicroVmError {
  return new MicroVmError("PortInUse", `port ${port} on 127.0.0.1 is taken${holder ? ` by ${holder}` : ""}`, {
    hint: `Stop that process, choose another ${property}, or ${property}: 0 for a free one.`,
    property,
  });
}

function tryListen(port: number): Promise<string | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", (error) => done(systemErrorCode(error) ?? "EADDRINUSE"));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => done(undefined)));
  });
}

/** `pid 123 (name)` of the process that listens on the port, as far as this user may see it (Linux). */
async function portHolder(port: number): Promise<string | undefined> {
  const inodes = new Set(
    (
      await Promise.all(["/proc/net/tcp", "/proc/net/tcp6"].map((file) => listeningInodes(file, port)))
    ).flat(),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      if (!inodes.has(target)) continue;
      const name = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim();
      return `pid ${pid}${name && ` (${name})`}`;
    }
  }
  return undefined;
}

/** `socket:[inode]` of each listening socket on the port; proc(5): local address in hex, state 0A is LISTEN. */
async function listeningInodes(file: string, port: number): Promise<string[]> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  const lines = (await readFile(file, "utf8").catch(() => "")).split("\n").slice(1);
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hexPort}`) && fields[3] === "0A")
    .map((fields) => `socket:[${fields[9]}]`);
}
