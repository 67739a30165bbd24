/** Stops a VM, and boots its next generation in its place. */
import { MicroVmError } from "../../errors.js";
import { goesOn, withHint } from "./aftermath.js";
import type { BootOptions } from "../start/attempt.js";
import type { Progress } from "../progress.js";
import { boot } from "../start/boot.js";
import { readEnding } from "../evidence/ending.js";
import { isBootedFromThem } from "../plan/fingerprint.js";
import { freeMemoryMb, memoryTakenMb } from "../host/host-memory.js";
import { prepare, type Preparation } from "../plan/prepare.js";
import { throwIfCalledOff } from "../record/lock.js";
import { readRecord, type VmRecord } from "../record/record.js";
import { writeRecord } from "../record/write.js";
import { describeShutdown, shutdownProcess } from "../end/shutdown.js";
import type { VmSpec } from "../spec.js";
import { isUnready, noteFailure } from "../start/unready.js";
import { generationFiles } from "../record/vm-folder.js";

/** Why the old VM is to be stopped before the new one boots, or undefined where both have room. */
export function whyStopFirst(
  { updateStrategy, memoryMb }: Pick<VmSpec, "updateStrategy" | "memoryMb">,
  freeMb = freeMemoryMb(),
): string | undefined {
  if (updateStrategy === "stopFirst") return 'updateStrategy is "stopFirst"';
  if (memoryTakenMb(memoryMb) <= freeMb) return undefined;
  return `this host has ${freeMb} MiB free, and two VMs at once would take ${memoryTakenMb(memoryMb)} more`;
}

export interface RelaunchOptions extends BootOptions {
  /** Whether the old VM served until now, and is booted again when the new one does not come up. */
  served: boolean;
}

/**
 * Throws what the boot does. Where the old VM served, the error's hint tells whether it goes on, because the boot's turn did not come, or was
 * booted again.
 */
export async function relaunch(
  old: VmRecord,
  wanted: VmRecord,
  preparation: Preparation,
  { served, ...options }: RelaunchOptions,
): Promise<VmRecord> {
  let stopped = false;
  const replaces = {
    memoryMb: served ? old.spec.memoryMb : 0,
    stop: async () => {
      stopped = true;
      await stop(old, options);
    },
  };
  try {
    return await boot(wanted, preparation, { ...options, replaces });
  } catch (error) {
    await throwIfCalledOff(old.vmId);
    if (!stopped) throw served ? withHint(error, goesOn) : error;
    // One that was called off has no time for more, unless it was its own time that was up.
    if (isHurried(options.signal) || !(error instanceof MicroVmError)) throw error;
    if (!served) {
      if (await isUnready(old.vmId, error, options)) await noteFailure(old.vmId, error);
      throw error;
    }
    const { onProgress } = options;
    throw withHint(error, await rollBack(old, { onProgress }));
  }
}

function isHurried(signal: AbortSignal | undefined): boolean {
  if (!signal?.aborted) return false;
  const reason: unknown = signal.reason;
  return !(reason instanceof MicroVmError && reason.code === "Timeout");
}

async function stop(record: VmRecord, { onProgress }: Progress): Promise<void> {
  await writeRecord({ ...record, phase: "stopping" });
  // Nothing is in flight on one that never answered, and it may not hear.
  const report = await shutdownProcess(record, record.phase === "creating" ? { from: "quit" } : {});
  onProgress?.(describeShutdown(report));
  // QEMU's last thread closes its ports; its exit status is written after that, and the next generation wants them.
  if (record.generation) await readEnding(generationFiles(record.vmId, record.generation.number));
}

/** Boots the old spec again, and says in a sentence what came of it. */
async function rollBack(old: VmRecord, options: Progress): Promise<string> {
  const { vmId, spec, generation } = old;
  try {
    if (!(await isBootedFromThem(old))) throw new Error("a file that it was booted from has changed");
    options.onProgress?.("warning: the new VM did not come up, booting the old one again", "news");
    const number = (await readRecord(vmId))?.generation?.number;
    const numbered = {
      ...old,
      generation: generation && { ...generation, number: number ?? generation.number },
    };
    await boot(numbered, await prepare(spec, options), options);
    return "The VM was booted again as it was before this update.";
  } catch (error) {
    return `The VM could not be booted again as it was before this update: ${(error as Error).message}.`;
  }
}
