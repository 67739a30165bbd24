/** Which process is a VM, and whether it still runs. Nothing is ever signalled on the word of a pid alone. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { readFile, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MicroVmError, systemErrorCode } from "../../errors.js";

/** A process told apart from every later one with its pid. */
export interface ProcessIdentity {
  pid: number;
  /** Start time in clock ticks since the host's boot (proc(5)). */
  startTicks: string;
  /** Which boot of the host that was. */
  bootId: string;
}

/** QEMU's process, which has the VM's uuid on its command line. */
export interface VmProcess extends ProcessIdentity {
  uuid: string;
}

/** What a record knows of its QEMU. */
export interface VmTrace {
  uuid: string;
  /** The boot of the host in which it was started; absent in old records. */
  hostBootId?: string | undefined;
  /** Once QEMU runs. */
  pid?: number | undefined;
  startTicks?: string | undefined;
}

/**
 * What the kernel says in a file of /proc; "" of a process that is gone or not to be looked at. Throws Io where it cannot be asked, as
 * with no file descriptor left: that is no word of a process's end. It is read at once: the kernel answers sooner than another thread would.
 */
function procFile(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch (cause) {
    if (["ENOENT", "ESRCH", "EACCES", "EPERM"].includes(systemErrorCode(cause) ?? "")) return "";
    throw cannotLook(cause);
  }
}

const cannotLook = (cause: unknown): MicroVmError =>
  new MicroVmError("Io", `cannot look at the host's processes: ${(cause as Error).message}`, {
    hint: "Whether a VM runs is not known until that works; `ulimit -n` tells how many files a process may have open.",
    cause,
  });

/** The boot of this host: no process survives it. */
export const hostBootId = (): string => (bootId ??= procFile("sys/kernel/random/boot_id").trim());
let bootId: string | undefined;

/**
 * The QEMU that runs with this uuid, or undefined when there is none. The record names it; before that is written the pid file does;
 * where that is missing too (not written yet, or removed by hand) every process is looked at, so that a VM is never lost.
 */
export async function findVmProcess(vm: VmTrace, pidFile: string): Promise<VmProcess | undefined> {
  if (vm.hostBootId !== undefined && vm.hostBootId !== hostBootId()) return undefined;
  if (vm.pid !== undefined && vm.startTicks !== undefined) {
    const found = vmProcess(vm.pid, vm.uuid);
    return found?.startTicks === vm.startTicks ? found : undefined;
  }
  const named = Number.parseInt(await readFile(pidFile, "utf8").catch(() => ""), 10);
  const found = named > 0 ? vmProcess(named, vm.uuid) : undefined;
  return found ?? (await firstOf((pid) => vmProcess(pid, vm.uuid)));
}

/** The same, when the shell above it may be about to start it: then it is awaited, as long as that shell is there. */
export async function awaitVmProcess(vm: VmTrace, pidFile: string): Promise<VmProcess | undefined> {
  for (let tries = 0; ; tries++) {
    const found = await findVmProcess(vm, pidFile);
    if (found !== undefined || vm.pid !== undefined || tries >= 200) return found;
    const shell = await firstOf((pid) => (isShellOf(argumentsOf(pid), vm.uuid) ? pid : undefined));
    if (shell === undefined) return await findVmProcess(vm, pidFile);
    await sleep(10);
  }
}

/** The path with no symbolic link in what there is of it: one folder has many names, and QEMU was told one of them. */
export function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path === dirname(path) ? path : join(realOf(dirname(path)), basename(path));
  }
}

/** The QEMUs whose pid files lie below the folder, each with its real path: a VM's, whatever became of its record. */
export async function vmProcessesBelow(folder: string): Promise<(VmProcess & { pidFile: string })[]> {
  const found: (VmProcess & { pidFile: string })[] = [];
  const below = `${realOf(folder)}/`;
  await firstOf((pid) => {
    const argv = argumentsOf(pid);
    const valueOf = (option: string): string => argv[argv.indexOf(option) + 1] ?? "";
    const option = valueOf("-pidfile");
    const pidFile = option === "" ? "" : realOf(option);
    const vm = pidFile.startsWith(below) ? vmProcess(pid, valueOf("-uuid")) : undefined;
    if (vm) found.push({ ...vm, pidFile });
    return undefined;
  });
  return found;
}

/** A process with the text on its command line, whoever's it is. */
export const processNaming = async (text: string): Promise<number | undefined> =>
  await firstOf((pid) => (procFile(`${pid}/cmdline`).includes(text) ? pid : undefined));

/** Asks about each process of this host until there is an answer. */
async function firstOf<T>(ask: (pid: number) => T | undefined): Promise<T | undefined> {
  const entries = await readdir("/proc").catch((cause: unknown) => {
    throw cannotLook(cause);
  });
  for (const entry of entries) {
    const answer = /^\d+$/.test(entry) ? ask(Number(entry)) : undefined;
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** The process with that pid, where it is the QEMU with this uuid. */
function vmProcess(pid: number, uuid: string): VmProcess | undefined {
  if (!isVm(argumentsOf(pid), uuid)) return undefined;
  const found = processWith(pid);
  return found && { ...found, uuid };
}

/** QEMU is the process with `-uuid U`; the shell above it has the same words, but further back behind `-c`. */
function isVm(argv: string[], uuid: string): boolean {
  return argv[1] !== "-c" && argv[argv.indexOf("-uuid") + 1] === uuid;
}

const isShellOf = (argv: string[], uuid: string): boolean => argv[1] === "-c" && argv.includes(uuid);

/** A process's arguments; empty for a zombie, a process that is gone, and one of another user, who could pose as a VM. */
function argumentsOf(pid: number): string[] {
  const own = process.getuid?.() ?? 0;
  const uid = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  return uid === own || own === 0 ? procFile(`${pid}/cmdline`).split("\0") : [];
}

/** The process that has that pid now, or undefined where none lives. */
export function processWith(pid: number): ProcessIdentity | undefined {
  const found = statOf(pid);
  return found && { pid, startTicks: found.startTicks, bootId: hostBootId() };
}

/** Whether it is still that very process, and not one that got its pid later. An exiting one lives until its files are closed. */
export function isAlive({ pid, startTicks, bootId }: ProcessIdentity): boolean {
  return bootId === hostBootId() && statOf(pid)?.startTicks === startTicks;
}

/** Whether it was stopped from outside (SIGSTOP, a debugger) and does nothing until it is told to go on. */
export function isStopped({ pid }: ProcessIdentity): boolean {
  // Ourselves: whoever can ask is not stopped.
  return pid !== process.pid && ["T", "t"].includes(statOf(pid)?.state ?? "");
}

/** The processor time that the process has used, in seconds; 0 when it is gone. */
export function cpuSeconds({ pid }: ProcessIdentity): number {
  return statOf(pid)?.cpuSeconds ?? 0;
}

/** USER_HZ, the unit of times in /proc: 100 on every architecture of today's Linux (proc(5)). */
const ticksPerSecond = 100;

/** /proc/PID/stat of a living process; undefined for a zombie too. */
function statOf(pid: number) {
  const line = procFile(`${pid}/stat`);
  // The command name before the state may hold anything, brackets too (proc(5)).
  const [state = "", ...fields] = line.slice(line.lastIndexOf(")") + 2).split(" ");
  if (line === "" || state === "Z" || state === "X") return undefined;
  const [user, system, startTicks] = [fields[10], fields[11], fields[18] ?? ""];
  return { state, startTicks, cpuSeconds: (Number(user) + Number(system)) / ticksPerSecond };
}

/**
 * Waits until the process is gone; false when it is still there after `timeoutMs`. `closed` resolves when the process has closed a connection to
 * us, as it does at its end: until then it is looked at seldom, since a fleet that goes down has better use for the processor.
 */
export async function waitGone(
  vm: ProcessIdentity,
  timeoutMs: number,
  closed?: Promise<void>,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  const near = new AbortController();
  void closed?.then(() => near.abort());
  let looks = 1;
  while (isAlive(vm)) {
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) return false;
    if (closed && !near.signal.aborted)
      await sleep(Math.min(100, leftMs), undefined, { signal: near.signal }).catch(() => undefined);
    else await sleep(Math.min(++looks, 10, leftMs));
  }
  return true;
}

/** Signals the VM's process after a last look that it is the VM. A process already gone is no error. */
export function signalVm(
  { pid, uuid, startTicks }: VmProcess,
  signal: "SIGTERM" | "SIGKILL" | "SIGCONT",
): void {
  if (vmProcess(pid, uuid)?.startTicks !== startTicks) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (systemErrorCode(error) === "ESRCH") return;
    throw new MicroVmError("Io", `process ${pid} cannot be signalled: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
