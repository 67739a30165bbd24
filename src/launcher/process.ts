/** Which process is a VM, and whether it still runs. Nothing is ever signalled on the word of a pid alone. */
import { readFile, readdir, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { MicroVmError, systemErrorCode } from "../errors.js";

/** A process's arguments; empty for a zombie, a process that is gone, and one of another user, who could pose as a VM. */
async function argumentsOf(pid: number | string): Promise<string[]> {
  const own = process.getuid?.() ?? 0;
  const { uid } = await stat(`/proc/${pid}`).catch(() => ({ uid: -1 }));
  if (uid !== own && own !== 0) return [];
  const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return text.split("\0");
}

/** QEMU is the process with `-uuid U`; the shell above it has the same words, but further back behind `-c`. */
function isVm(argv: string[], uuid: string): boolean {
  return argv[1] !== "-c" && argv[argv.indexOf("-uuid") + 1] === uuid;
}

/**
 * The pid of the QEMU that runs with this uuid, or undefined when there is none. The pid file names it; where that is
 * missing (not written yet, or removed by hand) every process is looked at, so that a VM is never lost.
 */
export async function findVmProcess(uuid: string, pidFile: string): Promise<number | undefined> {
  const named = Number.parseInt(await readFile(pidFile, "utf8").catch(() => ""), 10);
  if (named > 0) return isVm(await argumentsOf(named), uuid) ? named : undefined;
  for (const entry of await readdir("/proc")) {
    if (/^\d+$/.test(entry) && isVm(await argumentsOf(entry), uuid)) return Number(entry);
  }
  return undefined;
}

/** Whether that pid is still this VM. */
export async function isAlive(pid: number, uuid: string): Promise<boolean> {
  return isVm(await argumentsOf(pid), uuid);
}

/** Waits until the process is gone, its ports and files too; false when it is still there after `timeoutMs`. */
export async function waitGone(pid: number, uuid: string, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while ((await isAlive(pid, uuid)) || (await isExiting(pid))) {
    if (performance.now() >= deadline) return false;
    await sleep(10);
  }
  return true;
}

/** An exiting process loses its command line before the kernel closes its sockets, and is a zombie (Z) only after that. */
async function isExiting(pid: number): Promise<boolean> {
  const [arguments_, line] = await Promise.all([
    argumentsOf(pid),
    readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""),
  ]);
  return arguments_.join("") === "" && line !== "" && !isDead(afterName(line)[0]!);
}

/** The fields of /proc/PID/stat from the state on: the command name before it may hold anything, brackets too (proc(5)). */
const afterName = (line: string): string[] => line.slice(line.lastIndexOf(")") + 2).split(" ");

const isDead = (state: string): boolean => state === "Z" || state === "X";

/** Signals the VM's process after a last look that it is the VM. A process already gone is no error. */
export async function signalVm(pid: number, uuid: string, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (!(await isAlive(pid, uuid))) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (systemErrorCode(error) === "ESRCH") return;
    throw new MicroVmError("Io", `process ${pid} cannot be signalled: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** A process told apart from every later one with its pid. */
export interface ProcessIdentity {
  pid: number;
  /** Start time in clock ticks since boot, and which boot that was (proc(5)). */
  startTicks: string;
  bootId: string;
}

/** This process. */
export const ownIdentity = async (): Promise<ProcessIdentity> => await identityOf(process.pid);

/** Whether it is still that very process, and not one that got its pid later. */
export async function stillRuns(identity: ProcessIdentity): Promise<boolean> {
  return isDeepStrictEqual(await identityOf(identity.pid), identity);
}

async function identityOf(pid: number): Promise<ProcessIdentity> {
  const [line, bootId] = await Promise.all(
    [`/proc/${pid}/stat`, "/proc/sys/kernel/random/boot_id"].map((path) =>
      readFile(path, "utf8").catch(() => ""),
    ),
  );
  const [state = "", ...fields] = afterName(line!);
  return { pid, startTicks: isDead(state) ? "" : (fields[18] ?? ""), bootId: bootId!.trim() };
}
