/** From a prepared kernel to the first HTTP answer, by the accelerator that really runs the guest. */
import { kvmRequired } from "../host/accelerator.js";
import type { Attempt, BootOptions } from "./attempt.js";
import { inTurn } from "./boot-queue.js";
import { coldStart, NotExecuted, type Start } from "./cold-start.js";
import { rememberKvm } from "../host/kvm-verdict.js";
import type { Preparation } from "../plan/prepare.js";
import { throwIfCalledOff } from "../record/lock.js";
import type { VmRecord } from "../record/record.js";
import { warmStart } from "../warm/start.js";

/**
 * Boots the record's spec as its next generation, when it is its turn on this host, and returns the record with it, which is then
 * what stands on disk, unless it boots `beside` another. When it throws, no process of that generation is left, but for `keepUnready`, and
 * the record still says `creating`, or names it as `next`. The caller holds the VM's lock.
 */
export async function boot(
  record: VmRecord,
  preparation: Preparation,
  options: BootOptions,
): Promise<Attempt> {
  const { replaces } = options;
  // What the other leaves is there for this one.
  const memoryMb = Math.max(0, record.spec.memoryMb - (replaces?.memoryMb ?? 0));
  return await inTurn({ ...options, memoryMb }, async (waitedMs) => {
    // A boot without a signal, as of the old VM again, may have waited long.
    await throwIfCalledOff(record.vmId);
    await replaces?.stop();
    const ready = await bootUnderFirst(record, preparation, options);
    const { bootMillis = 0, accelerator, warm } = ready.generation;
    const how = warm ? "went on from a saved state" : "booted";
    const waited = waitedMs > 0 ? ` (waited ${inSeconds(waitedMs)} for its turn)` : "";
    options.onProgress?.(`${how} in ${inSeconds(bootMillis)} under ${accelerator}${waited}`, "news");
    return ready;
  });
}

const inSeconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`;

/** Boots under the first accelerator that runs the guest. */
async function bootUnderFirst(
  record: VmRecord,
  preparation: Preparation,
  options: BootOptions,
): Promise<Attempt> {
  const { kernel, qemu } = preparation;
  const [first, fallback] = preparation.accelerators;
  try {
    const ready = await bootUnder({ choice: first!, preparation, options }, record);
    if (first!.accelerator === "kvm")
      await rememberKvm(qemu, kernel.arch, { works: true, reason: "a guest answered under it" });
    return ready;
  } catch (error) {
    if (!(error instanceof NotExecuted)) throw error;
    if (fallback === undefined) throw kvmRequired(error.message, error.evidence);
    const reason = `KVM failed on this host: ${error.message}`;
    options.onProgress?.(reason, "news");
    const choice = { ...fallback, reason };
    const ready = await bootUnder({ choice, preparation, options }, error.attempt);
    // Only now is it the accelerator's fault for certain: the same guest came up without it.
    const doubtful = error.doubtful ? { doubtful: true as const } : {};
    await rememberKvm(qemu, kernel.arch, { works: false, reason: error.message, ...doubtful });
    return ready;
  }
}

async function bootUnder(given: Omit<Start, "since">, record: VmRecord): Promise<Attempt> {
  const start = { ...given, since: performance.now() };
  return await (record.spec.warmStart ? warmStart : coldStart)(start, record);
}
