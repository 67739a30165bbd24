/** Host ports: whether one is free, and who has it when it is not. */
import { readFile, readdir, readlink } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { MicroVmError, systemErrorCode } from "../../errors.js";
import { vmsDir } from "../../paths.js";
import type { VmSpec } from "../spec.js";

type PortProperty = "apiPort" | "sshPort";

/** Where ports are forwarded unless the spec says otherwise: within this host alone. */
const loopback = "127.0.0.1";

/** Every address of the host at once. */
const anyAddress = "0.0.0.0";

/** Whether only one of them can have a given port. */
export const overlap = (address: string, other: string): boolean =>
  address === other || [address, other].includes(anyAddress);

/** Whether nobody but this host reaches the address. */
export const isLoopback = (address: string): boolean => address.startsWith("127.");

/** Base of the HTTP API behind a forwarded port, as this host reaches it. */
export const apiUrl = (port: number, bindAddress = loopback): string =>
  `http://${bindAddress === anyAddress ? loopback : bindAddress}:${port}`;

/** Whether nothing listens there, and this user may. */
export const isPortFree = async (port: number, bindAddress = loopback): Promise<boolean> =>
  (await tryListen(port, bindAddress)) === undefined;

/**
 * Throws PortInUse, naming the holder where that can be had; InvalidArgument when this user may not bind the port or the
 * address is none of this host.
 */
export async function assertPortFree(
  port: number,
  property: PortProperty,
  bindAddress = loopback,
): Promise<void> {
  const failure = await tryListen(port, bindAddress);
  if (failure === undefined) return;
  if (failure === "EACCES") {
    throw new MicroVmError("InvalidArgument", `port ${port} needs privileges that this user does not have`, {
      hint: "Choose a port above 1023.",
      property,
    });
  }
  if (failure !== "EADDRINUSE") {
    throw new MicroVmError("InvalidArgument", `this host cannot listen on ${bindAddress} (${failure})`, {
      hint: `Choose an address that this host has, ${loopback} for this host alone or ${anyAddress} for all.`,
      property: "bindAddress",
    });
  }
  throw portInUse(port, property, bindAddress, await portHolder(port, bindAddress));
}

/** The same of all that a spec names, but for those that are `ours`. */
export async function assertPortsFree(
  { bindAddress, ...ports }: Pick<VmSpec, "bindAddress" | PortProperty>,
  isOurs = (_port: number) => false,
): Promise<void> {
  for (const property of ["apiPort", "sshPort"] as const) {
    const port = ports[property];
    // With 0 it is seen whether the address is one of this host.
    if (port !== undefined) await assertPortFree(isOurs(port) ? 0 : port, property, bindAddress);
  }
}

export function portInUse(
  port: number,
  property: PortProperty,
  bindAddress = loopback,
  holder?: Holder,
): MicroVmError {
  const ends = holder?.stop === undefined ? "Stop that process" : `\`${holder.stop}\` ends it`;
  return new MicroVmError(
    "PortInUse",
    `port ${port} on ${bindAddress} is taken${holder ? ` by ${holder.words}` : ""}`,
    {
      hint: `${ends}, or choose another ${property}, where 0 takes a free one.`,
      property,
    },
  );
}

function tryListen(port: number, host: string): Promise<string | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", (error) => done(systemErrorCode(error) ?? "EADDRINUSE"));
    server.listen({ port, host, exclusive: true }, () => server.close(() => done(undefined)));
  });
}

/** Who has a port. */
interface Holder {
  /** `pid 123 (name)`, or `the VM db-1 (pid 123)`. */
  words: string;
  /** The command that ends a VM. */
  stop?: string | undefined;
}

/** Where that can be had. A QEMU of ours, of whichever state folder, is known by its pid file (vm-folder.ts). */
async function portHolder(port: number, address: string): Promise<Holder | undefined> {
  const pid = await portHolderPid(port, address);
  if (pid === undefined) return undefined;
  const [name, argv] = await Promise.all(
    ["comm", "cmdline"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")),
  );
  const [, vms, vmId] = /\0-pidfile\0([^\0]*\/vms)\/([a-z0-9-]+)\/\d+\/qemu\.pid\0/.exec(argv!) ?? [];
  if (vms === undefined) return { words: `pid ${pid}${name && ` (${name.trim()})`}` };
  const elsewhere = vms === vmsDir() ? "" : `MICROVM_STATE_DIR=${dirname(vms)} `;
  return { words: `the VM ${vmId} (pid ${pid})`, stop: `${elsewhere}microvm stop ${vmId}` };
}

/** The process that listens on the port, as far as this user may see it (Linux). */
export async function portHolderPid(port: number, address = loopback): Promise<number | undefined> {
  const files = ["/proc/net/tcp", "/proc/net/tcp6"];
  const inodes = new Set(
    (await Promise.all(files.map((file) => listeningInodes(file, port, address)))).flat(),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => []))
      if (inodes.has(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => ""))) return Number(pid);
  }
  return undefined;
}

/**
 * `socket:[inode]` of each socket that listens on the port at this address; proc(5): local address in hex, each 32 bits of it
 * in the host's order, state 0A is LISTEN. One of zeros listens on every address.
 */
async function listeningInodes(file: string, port: number, address: string): Promise<string[]> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  const hexAddress = Buffer.from(address.split(".").map(Number)).reverse().toString("hex").toUpperCase();
  const isThere = (local = "") => {
    const [at = "", localPort] = local.split(":");
    return localPort === hexPort && (address === anyAddress || /^0+$/.test(at) || at.endsWith(hexAddress));
  };
  const lines = (await readFile(file, "utf8").catch(() => "")).split("\n").slice(1);
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => isThere(fields[1]) && fields[3] === "0A")
    .map((fields) => `socket:[${fields[9]}]`);
}
