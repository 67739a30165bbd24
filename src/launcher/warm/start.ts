/**
 * A start from a saved state. Where there is none for such a VM, one is booted to be saved and nothing else, so that nobody's query is ever
 * in a saved memory; the VM then goes on from that like all after it.
 */
import { MicroVmError } from "../../errors.js";
import { bring, markReady, prepareGeneration, removeGeneration, type Attempt } from "../start/attempt.js";
import { coldStart, type Start } from "../start/cold-start.js";
import { waitGone } from "../host/process.js";
import { throwIfCalledOff } from "../record/lock.js";
import { processOf, type VmRecord } from "../record/record.js";
import { shutdownProcess } from "../end/shutdown.js";
import { goOn } from "./go-on.js";
import { warmKey, type WarmKey } from "./key.js";
import { save } from "./save.js";
import { discardState, placeToSave, recallState, type StateFiles } from "./saved-states.js";

/** The part of `readyTimeoutSeconds` in which a VM that goes on has to answer; the rest is for a boot instead. */
const PART = 1 / 4;

/** Goes on from the saved state, saved first where there is none; boots as `coldStart` does where that does not work, and says why. */
export async function warmStart(start: Start, record: VmRecord): Promise<Attempt> {
  const { choice, preparation, options } = start;
  const cold = (why: unknown): void =>
    options.onProgress?.(
      `warning: the VM boots cold: ${why instanceof Error ? why.message : String(why)}`,
      "news",
    );
  const key = await warmKey(record.spec, preparation, choice.accelerator);
  const found = await recallState(key.key);
  if (found && "useless" in found) {
    cold(`the saved state is thrown away, ${found.useless}`);
    await discardState(key.key);
  }
  let last = record;
  const remember = (attempt: Attempt): void => void (last = attempt);
  let files = found && "files" in found ? found.files : undefined;
  try {
    files ??= await saved(start, record, key, remember);
  } catch (error) {
    if (!(error instanceof Unsaved)) throw error;
    await throwIfCalledOff(record.vmId);
    cold(error.cause);
  }
  try {
    if (files) return await wentOn(start, last, files, remember);
  } catch (error) {
    if (start.options.signal?.aborted || !isStatesFault(error)) throw error;
    await throwIfCalledOff(record.vmId);
    await discardState(key.key);
    cold(`the saved state is thrown away, ${error.message}`);
  }
  // What was tried before has taken its own time.
  return await coldStart({ ...start, since: performance.now() }, last);
}

/** Whatever the reason, it is not the boot that failed. */
class Unsaved extends Error {}

/** Boots a VM and saves it. Throws Unsaved where it can only not be saved, else as `coldStart`. */
async function saved(
  start: Start,
  record: VmRecord,
  key: WarmKey,
  remember: (attempt: Attempt) => void,
): Promise<StateFiles | undefined> {
  const { options, preparation } = start;
  const { memoryMb, vcpus, rvfPath } = record.spec;
  const unsaved = (cause: unknown): never => {
    throw options.signal?.aborted ? cause : new Unsaved("unsaved", { cause });
  };
  await using place = await placeToSave(memoryMb).catch(unsaved);
  options.onProgress?.("booting a VM of this kind to be saved");
  const attempt = await coldStart(start, record, { memory: { path: place.files.memory, use: "saving" } });
  remember(attempt);
  try {
    await save(attempt, place.files, options.signal).catch(unsaved);
  } finally {
    await end(attempt);
  }
  const vm = { rvfPath, memoryMb, vcpus, qemuVersion: preparation.qemu.version };
  await place.keep(key, vm).catch(unsaved);
  const kept = await recallState(key.key);
  return kept && "files" in kept ? kept.files : unsaved("another process removed the saved state");
}

/** Nothing may write to its memory after that. */
async function end(attempt: Attempt): Promise<void> {
  const vm = await processOf(attempt.vmId, attempt.generation);
  await shutdownProcess(attempt, { from: "quit" });
  if (vm) await waitGone(vm, 5000);
  await removeGeneration(attempt);
}

/** The VM, which answers. When it throws, nothing of it is left. */
async function wentOn(
  { choice, preparation, options }: Start,
  record: VmRecord,
  files: StateFiles,
  remember: (attempt: Attempt) => void,
): Promise<Attempt> {
  options.onProgress?.(
    `starting QEMU ${preparation.qemu.version} (${choice.accelerator}) from a saved state`,
  );
  const attempt = await prepareGeneration(record, preparation, choice, options);
  remember(attempt);
  try {
    const running = await bring(attempt, preparation, performance.now(), {
      ...options,
      file: {
        memory: { path: files.memory, use: "saved" },
        goOn: (one, monitor, signal) => goOn(one, { ...files, monitor, signal }),
        timeoutMs: attempt.spec.readyTimeoutSeconds * 1000 * PART,
      },
    });
    // Nobody looks for signs of life in one that has booted before.
    return await markReady(running as Attempt, options);
  } catch (error) {
    await shutdownProcess(attempt, { from: options.signal?.aborted ? "sigkill" : "quit" });
    await removeGeneration(attempt);
    throw error;
  }
}

/** Anything that a VM which boots would not meet. */
function isStatesFault(error: unknown): error is MicroVmError {
  const codes = ["QemuExited", "QemuSpawn", "Timeout", "Qmp", "QmpIo", "Io"];
  return error instanceof MicroVmError && codes.includes(error.code);
}
