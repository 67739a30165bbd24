/**
 * One operation at a time on each VM, whichever processes ask for it. A lock names its holder (holder.ts), so that one whose
 * holder died is free at once.
 *
 * The VM's folder holds symbolic links `lock.N` whose target is the holder, or `free`: made in one step, content and
 * all. The highest number counts. Whoever finds it free, or its holder dead, makes the next one, which only one can.
 * Nobody ever removes the highest; so one who looked long ago, and then makes a number that others have passed, sees that.
 *
 * A file `lock.N.off` calls the work of that holder off, and of no other: whoever kills the VM writes it, and need not wait to be heard. It is
 * looked for as long as the work goes on, which is told by its signal.
 */
import { existsSync } from "node:fs";
import { readFile, readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MicroVmError, systemErrorCode } from "../../errors.js";
import { drop, hold, holderOf } from "./holder.js";
import type { ProcessIdentity } from "../host/process.js";
import { makeVmDir, vmDir } from "./vm-folder.js";

const free = "free";

/** An interrupted operation cleans up in that time. */
export const defaultWaitMs = 10_000;

export interface LockOptions {
  /** How long to wait for whoever holds it, in milliseconds. Default `defaultWaitMs`. */
  waitMs?: number;
  /** Whether the work is worth doing where no lock can be made: on a disk that is full or cannot be written. */
  evenWithout?: boolean;
  /** Whether to make the VM's folder: for a new one, which `prune` takes for a leftover until it is locked. */
  makeFolder?: boolean;
  /** Whether whoever holds it meanwhile is called off. */
  callsOff?: boolean;
  signal?: AbortSignal | undefined;
}

/** How often a work looks whether it was called off, in milliseconds. */
const lookMs = 100;

/**
 * Runs the work while nobody else works on the VM, with a signal that is aborted by the given one or when the work is called off. Throws VmBusy, naming
 * the holder, when the lock cannot be had in time; Cancelled by the signal; VmNotFound when the VM has no folder (any more); Io when no lock can be
 * made in it.
 */
export async function withVmLock<T>(
  vmId: string,
  work: (signal?: AbortSignal) => Promise<T>,
  {
    waitMs = defaultWaitMs,
    evenWithout = false,
    makeFolder = false,
    callsOff = false,
    signal,
  }: LockOptions = {},
): Promise<T> {
  const dir = vmDir(vmId);
  const deadline = performance.now() + waitMs;
  for (;;) {
    if (signal?.aborted)
      throw new MicroVmError("Cancelled", `stopped while ${vmId} was not free`, { cause: signal.reason });
    if (makeFolder) makeVmDir(vmId);
    const lock = await explained(vmId, take(dir)).catch((error: MicroVmError) => {
      if (evenWithout && error.code === "Io") return undefined;
      if (makeFolder && error.code === "VmNotFound") return "removed";
      throw error;
    });
    if (lock === "removed") continue;
    if (lock === undefined) return await work(signal);
    if ("target" in lock) {
      const off = new AbortController();
      const looking = setInterval(() => isMarked(dir, lock) && off.abort(calledOff(vmId)), lookMs);
      try {
        return await work(AbortSignal.any([off.signal, ...(signal ? [signal] : [])]));
      } finally {
        clearInterval(looking);
        await release(dir, lock);
      }
    }
    if (callsOff) await callOff(vmId);
    if (performance.now() >= deadline) throw await busy(vmId, lock, callsOff);
    await sleep(50, undefined, { signal }).catch(() => {});
  }
}

/** Who works on the VM just now, if anybody. Throws Io. */
export async function vmLockHolder(vmId: string): Promise<ProcessIdentity | undefined> {
  const dir = vmDir(vmId);
  try {
    return holderOf((await highest(dir)).target);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw new MicroVmError("Io", `cannot tell who works on ${vmId}: ${(error as Error).message}`, {
      hint: `Look at the lock in ${dir}.`,
      cause: error,
    });
  }
}

/** Calls off what somebody does with the VM just now, and returns whether there is anybody. Never fails: on a full disk they go on. */
export async function callOff(vmId: string): Promise<boolean> {
  const dir = vmDir(vmId);
  try {
    const lock = await highest(dir);
    if (holderOf(lock.target) === undefined) return false;
    await writeFile(markOf(dir, lock.number), "");
    return true;
  } catch {
    return false;
  }
}

/** For whoever holds the VM's lock, before anything else is tried after a failure. Throws Cancelled where their work was called off. */
export async function throwIfCalledOff(vmId: string): Promise<void> {
  if (await isCalledOff(vmId)) throw calledOff(vmId);
}

/** What a work that failed is to throw, asked while the VM has its folder: under one that was called off, a QEMU that was killed looks like anything. */
export async function calledOffOr(vmId: string, error: unknown): Promise<unknown> {
  if (!(await isCalledOff(vmId))) return error;
  const isSaid = error instanceof MicroVmError && error.code === "Cancelled";
  return calledOff(vmId, isSaid ? undefined : error);
}

async function isCalledOff(vmId: string): Promise<boolean> {
  const dir = vmDir(vmId);
  const lock = await highest(dir).catch(() => undefined);
  return lock !== undefined && isMarked(dir, lock);
}

const isMarked = (dir: string, { number }: Lock): boolean => existsSync(markOf(dir, number));

const calledOff = (vmId: string, cause?: unknown): MicroVmError =>
  new MicroVmError("Cancelled", `it was called off, because somebody killed ${vmId}`, {
    hint: "Start it again where it is still wanted: `pulumi up`, or `microvm run`.",
    cause,
  });

interface Lock {
  number: number;
  target: string;
}

/** The lock that is now ours, or who has it. */
async function take(dir: string): Promise<Lock | ProcessIdentity> {
  const target = hold();
  try {
    const lock = await makeNext(dir, target);
    if ("pid" in lock) drop(target);
    return lock;
  } catch (error) {
    drop(target);
    throw error;
  }
}

async function makeNext(dir: string, target: string): Promise<Lock | ProcessIdentity> {
  for (;;) {
    const last = await highest(dir);
    const holder = holderOf(last.target);
    if (holder) return holder;
    const number = last.number + 1;
    try {
      await symlink(target, pathOf(dir, number));
    } catch (error) {
      if (systemErrorCode(error) === "EEXIST") continue;
      throw error;
    }
    if ((await highest(dir)).number === number) {
      await removeBelow(dir, number);
      return { number, target };
    }
    await rm(pathOf(dir, number), { force: true });
  }
}

/** Never fails: what cannot be written down (a full disk, the folder gone) ends with this process at the latest. */
async function release(dir: string, { number, target }: Lock): Promise<void> {
  try {
    // A VM that was removed may be there anew, with somebody else's lock.
    if ((await readlink(pathOf(dir, number))) === target) {
      await symlink(free, pathOf(dir, number + 1));
      await removeBelow(dir, number + 1);
    }
  } catch {
    // Nobody takes it for ours once it is dropped.
  }
  drop(target);
}

const pathOf = (dir: string, number: number): string => join(dir, `lock.${number}`);
const markOf = (dir: string, number: number): string => `${pathOf(dir, number)}.off`;

const numbersIn = async (dir: string): Promise<number[]> =>
  (await readdir(dir)).flatMap((name) => {
    const number = /^lock\.(\d+)$/.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });

/** Marks too, of which one may have come after its lock was given back. */
async function removeBelow(dir: string, limit: number): Promise<void> {
  for (const name of await readdir(dir)) {
    const number = /^lock\.(\d+)(\.off)?$/.exec(name)?.[1];
    if (number !== undefined && Number(number) < limit) await rm(join(dir, name), { force: true });
  }
}

async function highest(dir: string): Promise<Lock> {
  for (;;) {
    const number = Math.max(0, ...(await numbersIn(dir)));
    if (number === 0) return { number, target: free };
    try {
      return { number, target: await readlink(pathOf(dir, number)) };
    } catch (error) {
      // It was the highest a moment ago: somebody has gone on.
      if (systemErrorCode(error) !== "ENOENT") throw error;
    }
  }
}

async function busy(vmId: string, { pid }: ProcessIdentity, isCalledOff: boolean): Promise<MicroVmError> {
  const name = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim();
  const who = `process ${pid}${name && ` (${name})`}`;
  return new MicroVmError("VmBusy", `${vmId} is being changed by ${who} at this moment`, {
    hint: isCalledOff
      ? `It is called off and has not noticed yet; kill process ${pid} where it hangs, and try again.`
      : `Try again when that is done. \`microvm kill ${vmId}\` calls it off, and ends the VM.`,
  });
}

async function explained<T>(vmId: string, work: Promise<T>): Promise<T> {
  return await work.catch((cause: unknown) => {
    if (systemErrorCode(cause) === "ENOENT")
      throw new MicroVmError("VmNotFound", `there is no VM ${vmId} on this host any more`, { cause });
    throw new MicroVmError("Io", `cannot lock ${vmId}: ${(cause as Error).message}`, {
      hint: `Check that ${vmDir(vmId)} can be written and its disk is not full.`,
      cause,
    });
  });
}
