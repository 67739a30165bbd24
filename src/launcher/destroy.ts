/** Powers a VM down and removes every trace of it, whatever state it is in. */
import { MicroVmError } from "../errors.js";
import type { Progress } from "./progress.js";
import { removeUnrecorded } from "./end/leftovers.js";
import { callOff, defaultWaitMs, withVmLock } from "./record/lock.js";
import { readRecord, removeRecord, type VmRecord } from "./record/record.js";
import { writeRecord } from "./record/write.js";
import {
  describeShutdown,
  shutdownUnrecorded,
  shutdownVm,
  type ShutdownOptions,
  type ShutdownReport,
} from "./end/shutdown.js";

export interface DestroyReport extends ShutdownReport {
  /** Whether there was a folder of it to remove. */
  removed: boolean;
  /** Whether somebody was at work on it, who was called off. */
  calledOff: boolean;
}

/**
 * Powers the VM down and removes every trace of it; one without a readable record is found by its folder's name. One that is not
 * there any more is no error. It waits for whoever is at work on the VM, for 10 s or for `withinMs` where that is less, and throws VmBusy after
 * that. From `sigkill` they are called off, and the VM's processes end before anybody is waited for.
 */
export async function destroyVm(
  vmId: string,
  options: ShutdownOptions & Progress = {},
): Promise<DestroyReport> {
  const { withinMs = Infinity } = options;
  const start = performance.now();
  const within = () => ({ ...options, withinMs: withinMs - (performance.now() - start) });
  // Before the record is read: whoever starts a QEMU that is not in it yet ends that one.
  const callsOff = options.from === "sigkill";
  const calledOff = callsOff && (await callOff(vmId));
  const record = await readIntact(vmId);
  const killed = record && callsOff ? await shutdownVm(record, options) : undefined;
  const report = await withVmLock(vmId, () => destroyLocked(vmId, within()), {
    evenWithout: true,
    callsOff,
    signal: options.signal,
    waitMs: Math.min(defaultWaitMs, withinMs),
  }).catch((error: unknown) => {
    // It has no folder; somebody else may have removed it while we waited.
    if (error instanceof MicroVmError && error.code === "VmNotFound")
      return destroyUnrecorded(vmId, within());
    throw error;
  });
  const first = { ...report, ...(killed && killed.rung !== "gone" && killed), calledOff };
  options.onProgress?.(describeShutdown(first));
  return first;
}

type Removal = Omit<DestroyReport, "calledOff">;

async function destroyLocked(vmId: string, options: ShutdownOptions): Promise<Removal> {
  const record = await readIntact(vmId);
  if (record === undefined) return await destroyUnrecorded(vmId, options);
  // For whoever looks meanwhile; a disk that takes no more, or its time, keeps no VM running.
  const stopping = { ...record, phase: "stopping" } as const;
  const written = record.phase === "ready" ? writeRecord(stopping).catch(() => {}) : undefined;
  const report = await shutdownVm(record, options).finally(() => written);
  return { ...report, removed: await removeRecord(record) };
}

/** Undefined also where the record was damaged: whoever removes the VM needs none. */
const readIntact = async (vmId: string): Promise<VmRecord | undefined> =>
  await readRecord(vmId).catch((error: unknown) => {
    if (error instanceof MicroVmError && error.code === "Io") return undefined;
    throw error;
  });

async function destroyUnrecorded(vmId: string, options: ShutdownOptions): Promise<Removal> {
  const report = await shutdownUnrecorded(vmId, options);
  return { ...report, removed: await removeUnrecorded(vmId) };
}
