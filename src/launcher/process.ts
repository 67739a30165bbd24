/** Which process is a VM, and whether it still runs. Nothing is ever signalled on the word of a pid alone. */
import { readFile, readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { systemErrorCode } from "../errors.js";

/** A process's arguments; empty for a zombie or a process that is gone. */
async function argumentsOf(pid: number | string): Promise<string[]> {
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

/** Waits until the process is gone; false when it still runs after `timeoutMs`. */
export async function waitGone(pid: number, uuid: string, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (await isAlive(pid, uuid)) {
    if (performance.now() >= deadline) return false;
    await sleep(10);
  }
  return true;
}

/** Signals the VM's process after a last look that it is the VM. A process already gone is no error. */
export async function signalVm(pid: number, uuid: string, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (!(await isAlive(pid, uuid))) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (systemErrorCode(error) !== "ESRCH") throw error;
  }
}
