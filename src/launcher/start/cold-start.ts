/** A start of the guest from its kernel on. */
import { MicroVmError } from "../../errors.js";
import type { AcceleratorChoice } from "../host/accelerator.js";
import {
  bring,
  markReady,
  prepareGeneration,
  removeGeneration,
  type Attempt,
  type BootOptions,
  type FromFile,
} from "./attempt.js";
import { evidenceOf, readEnding } from "../evidence/ending.js";
import type { Preparation } from "../plan/prepare.js";
import type { VmRecord } from "../record/record.js";
import { shutdownProcess } from "../end/shutdown.js";
import { hasRun, type Lifeless } from "./sign-of-life.js";
import { isUnready } from "./unready.js";
import { generationFiles, type GenerationFiles } from "../record/vm-folder.js";

/** The accelerator did not run the guest. */
export class NotExecuted extends Error {
  constructor(
    reason: string,
    readonly evidence: string | undefined,
    readonly attempt: Attempt,
    /** Only its silence tells: a busy host may be to blame. */
    readonly doubtful: boolean,
  ) {
    super(reason);
  }
}

/** What a start is made with. */
export interface Start {
  choice: AcceleratorChoice;
  preparation: Preparation;
  /** When the time for readiness began, by `performance.now()`. */
  since: number;
  options: BootOptions;
}

/**
 * Boots, again where the guest hangs by emulation's fault; what is booted into a `file`, to be saved, is not written down as ready. Throws
 * NotExecuted where the accelerator fails.
 */
export async function coldStart(start: Start, record: VmRecord, file?: FromFile): Promise<Attempt> {
  const { choice, preparation, since, options } = start;
  const { accelerator } = choice;
  for (let last = record; ;) {
    options.onProgress?.(`starting QEMU ${preparation.qemu.version} (${accelerator})`);
    // Each start has a number of its own: whoever follows the console of one sees that the next is another.
    const attempt = (last = await prepareGeneration(last, preparation, choice, options));
    const files = generationFiles(attempt.vmId, attempt.generation.number);
    let outcome: Attempt | Lifeless;
    try {
      outcome = await bring(attempt, preparation, since, { ...options, file });
      if (typeof outcome !== "string" && file === undefined) outcome = await markReady(outcome, options);
    } catch (error) {
      // Asked before it is stopped, while its monitor can tell.
      const failed =
        accelerator !== "tcg" &&
        !options.signal?.aborted &&
        (await isAcceleratorsFault(error, attempt, files));
      // One that is to be saved could be reached by nobody.
      if (!failed && file === undefined && (await isLeftRunning(error, attempt, options))) throw error;
      // A cancelled launch has seconds before its own process is killed, and the guest's disk is read-only.
      await shutdownProcess(attempt, { from: options.signal?.aborted ? "sigkill" : "quit" });
      if (!failed) throw error;
      await removeGeneration(attempt);
      const { code, message, evidence } = error as MicroVmError;
      throw new NotExecuted(message, evidence, attempt, code === "Timeout");
    }
    if (typeof outcome !== "string") return outcome;
    await shutdownProcess(attempt, { from: "quit" });
    const evidence = await evidenceOf(files);
    await removeGeneration(attempt);
    if (outcome === "silent") {
      const allowance = attempt.spec.firstOutputTimeoutSeconds;
      throw new NotExecuted(`the guest gave no sign of life within ${allowance} s`, evidence, attempt, true);
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
