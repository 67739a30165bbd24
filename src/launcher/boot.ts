/** From a prepared kernel to the first HTTP answer, by the accelerator that really runs the guest. */
import { MicroVmError } from "../errors.js";
import { kvmRequired, type AcceleratorChoice } from "./accelerator.js";
import { bring, prepareGeneration, removeGeneration, type Attempt, type BootOptions } from "./attempt.js";
import { inTurn } from "./boot-queue.js";
import { evidenceOf, readEnding } from "./ending.js";
import { rememberKvm } from "./kvm-verdict.js";
import type { Preparation } from "./prepare.js";
import type { VmRecord } from "./record.js";
import { shutdownProcess } from "./shutdown.js";
import { hasRun, type Lifeless } from "./sign-of-life.js";
import { isUnready } from "./unready.js";
import { generationFiles, type GenerationFiles } from "./vm-folder.js";

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
  const { memoryMb } = record.spec;
  return await inTurn({ ...options, memoryMb }, async (waitedMs) => {
    const ready = await bootUnderFirst(record, preparation, options);
    const { bootMillis = 0, accelerator } = ready.generation;
    const waited = waitedMs > 0 ? ` (waited ${inSeconds(waitedMs)} for its turn)` : "";
    options.onProgress?.(`booted in ${inSeconds(bootMillis)} under ${accelerator}${waited}`, "news");
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
    const ready = await bootUnder(first!, record, preparation, options);
    if (first!.accelerator === "kvm")
      await rememberKvm(qemu, kernel.arch, { works: true, reason: "a guest answered under it" });
    return ready;
  } catch (error) {
    if (!(error instanceof NotExecuted)) throw error;
    if (fallback === undefined) throw kvmRequired(error.message, error.evidence);
    const reason = `KVM failed on this host: ${error.message}`;
    options.onProgress?.(reason, "news");
    const ready = await bootUnder({ ...fallback, reason }, error.attempt, preparation, options);
    // Only now is it the accelerator's fault for certain: the same guest came up without it.
    await rememberKvm(qemu, kernel.arch, { works: false, reason: error.message });
    return ready;
  }
}

/** The accelerator did not run the guest. */
class NotExecuted extends Error {
  constructor(
    reason: string,
    readonly evidence: string | undefined,
    readonly attempt: Attempt,
  ) {
    super(reason);
  }
}

/** Boots under this accelerator, again where the guest hangs by emulation's fault. Throws NotExecuted where the accelerator fails. */
async function bootUnder(
  choice: AcceleratorChoice,
  record: VmRecord,
  preparation: Preparation,
  options: BootOptions,
): Promise<Attempt> {
  const { accelerator } = choice;
  const since = performance.now();
  for (let last = record; ;) {
    options.onProgress?.(`starting QEMU ${preparation.qemu.version} (${accelerator})`);
    // Each start has a number of its own: whoever follows the console of one sees that the next is another.
    const attempt = (last = await prepareGeneration(last, preparation, choice, options));
    const files = generationFiles(attempt.vmId, attempt.generation.number);
    let outcome: Attempt | Lifeless;
    try {
      outcome = await bring(attempt, preparation, since, options);
    } catch (error) {
      // Asked before it is stopped, while its monitor can tell.
      const failed = accelerator !== "tcg" && (await isAcceleratorsFault(error, attempt, files));
      if (!failed && (await isLeftRunning(error, attempt, options))) throw error;
      // A cancelled launch has seconds before its own process is killed, and the guest's disk is read-only.
      await shutdownProcess(attempt, { from: options.signal?.aborted ? "sigkill" : "quit" });
      if (!failed) throw error;
      await removeGeneration(attempt);
      throw new NotExecuted((error as MicroVmError).message, (error as MicroVmError).evidence, attempt);
    }
    if (typeof outcome !== "string") return outcome;
    await shutdownProcess(attempt, { from: "quit" });
    const evidence = await evidenceOf(files);
    await removeGeneration(attempt);
    if (outcome === "silent") {
      const allowance = attempt.spec.firstOutputTimeoutSeconds;
      throw new NotExecuted(`the guest gave no sign of life within ${allowance} s`, evidence, attempt);
    }
    options.onProgress?.("the guest hung at the calibration of its clock, which emulation lets it at times");
  }
}

const isLeftRunning = async (error: unknown, { vmId }: Attempt, options: BootOptions): Promise<boolean> =>
  options.keepUnready === true &&
  error instanceof MicroVmError &&
  error.code === "Timeout" &&
  (await isUnready(vmId, error, options));

/** A kernel that never got to run; whatever else goes wrong, or was done to QEMU, is not the accelerator's doing. */
async function isAcceleratorsFault(
  error: unknown,
  { generation }: Attempt,
  files: GenerationFiles,
): Promise<boolean> {
  if (!(error instanceof MicroVmError) || !["QemuExited", "Timeout", "QemuSpawn"].includes(error.code))
    return false;
  if (await hasRun({ generation, files })) return false;
  if (error.code === "Timeout") return true;
  const { how } = await readEnding(files);
  return !["clean", "panic", "killed", "outOfMemory"].includes(how);
}
