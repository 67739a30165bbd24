/** The processes of a world, seen from outside: whatever names its folder or has a file in it open. */
import { readFile, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";

export interface Found {
  pid: number;
  argv: string[];
  /** As in proc(5): T is stopped. */
  state: string;
  /** The session that was made for QEMU and what is started with it. */
  session: number;
}

/** All of them but this process; a zombie is none. */
export async function processesIn(folder: string): Promise<Found[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.filter((pid) => pid !== process.pid).map(async (pid) => await processIn(folder, pid)),
  );
  return found.filter((one) => one !== undefined);
}

async function processIn(folder: string, pid: number): Promise<Found | undefined> {
  const read = async (name: string) => await readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
  const [cmdline, stat] = [await read("cmdline"), await read("stat")];
  const [state = "", , , session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (state === "" || state === "Z" || state === "X") return undefined;
  const isHere = cmdline.includes(folder) || (await openFiles(pid)).some((path) => path.startsWith(folder));
  return isHere
    ? { pid, argv: cmdline.split("\0").slice(0, -1), state, session: Number(session) }
    : undefined;
}

async function openFiles(pid: number): Promise<string[]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
  return await Promise.all(
    fds.map(async (fd) => await readlink(join("/proc", String(pid), "fd", fd)).catch(() => "")),
  );
}

/** The QEMU of a VM: the one process whose -pidfile lies in the VM's folder; the shell above it has the words behind -c. */
export function qemusOf(processes: Found[], vmDir: string): Found[] {
  return processes.filter(
    ({ argv }) => argv[1] !== "-c" && optionOf(argv, "-pidfile").startsWith(`${vmDir}/`),
  );
}

const optionOf = (argv: string[], name: string): string => argv[argv.indexOf(name) + 1] ?? "";

/** The TCP ports on which it listens. */
export async function listeningPorts(pid: number): Promise<number[]> {
  const inodes = new Set((await openFiles(pid)).map((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1]));
  const lines = (await readFile(`/proc/${pid}/net/tcp`, "utf8").catch(() => "")).split("\n").slice(1);
  // proc(5): local address in hex, state 0A is LISTEN.
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === "0A" && inodes.has(fields[9]))
    .map((fields) => Number.parseInt(fields[1]!.split(":")[1]!, 16));
}
