/**
 * Whether a guest gets to run at all, while it is awaited. Two hosts' faults leave a guest silent for ever while QEMU says that it
 * runs: a KVM that never executes it, and emulated timers at whose calibration an x86-64 kernel hangs (1 of 12 boots to 1 of
 * 3 of them, by host) where it was not told the clock's rate (tsc.ts).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { blockReads } from "../../qmp/index.js";
import { sizeOf, tailLines } from "../evidence/console.js";
import { connectMonitor } from "../evidence/monitor.js";
import { cpuSeconds, type ProcessIdentity } from "../host/process.js";
import type { Generation } from "../record/record.js";
import type { GenerationFiles } from "../record/vm-folder.js";

/** What a guest that does not run is known by: no console output and no disk read, for a while of the host's time or of its own. */
export type Lifeless = "silent" | "hung";

/** A guest that is awaited. */
export interface Awaited {
  generation: Pick<Generation, "controlSocket" | "qmpSocket">;
  files: GenerationFiles;
}

/** Ends when the guest shows nothing of itself for as long as it is allowed to; otherwise never, but by the signal. */
export async function silence(awaited: Awaited, allowanceMs: number, signal: AbortSignal): Promise<Lifeless> {
  await standstill(awaited, { clock: () => performance.now(), allowance: allowanceMs, signal });
  return "silent";
}

/**
 * Processor time that a hung kernel burns before it is given up, in seconds; a good boot reads its disk after 0.3 to 0.6 s. It is not the time of
 * the wall, in which a busy host may have run the guest but little.
 */
const hangAllowance = 5;

/** Ends when the guest hangs at the calibration of its clock, and that shows `by` then (`performance.now()`); otherwise never, but by the signal. */
export async function hang(
  awaited: Awaited,
  { vm, by, signal }: { vm: ProcessIdentity; by: number; signal: AbortSignal },
): Promise<Lifeless> {
  await standstill(awaited, { clock: () => cpuSeconds(vm), allowance: hangAllowance, signal });
  return performance.now() < by ? "hung" : await never(signal);
}

interface Standstill {
  clock: () => number;
  /** By the clock. */
  allowance: number;
  signal: AbortSignal;
}

/** Ends when the console did not grow during the allowance and nothing else proves that the kernel runs. */
async function standstill(awaited: Awaited, { clock, allowance, signal }: Standstill): Promise<void> {
  let last = { size: 0, at: clock() };
  for (;;) {
    await sleep(200, undefined, { signal });
    const now = { size: sizeOf(awaited.files.console), at: clock() };
    if (now.size !== last.size) last = now;
    if (now.at - last.at < allowance) continue;
    const runs = await hasRun(awaited);
    if (runs !== undefined) return runs ? await never(signal) : undefined;
  }
}

/**
 * Whether the kernel itself got to run: its clock has left zero, it found its disk, or its init spoke. Mere bytes on the console prove
 * nothing: firmware and the kernel's setup code write where the kernel is never executed. Undefined where it cannot be told.
 */
export async function hasRun({ generation, files }: Awaited): Promise<boolean | undefined> {
  if (sizeOf(files.ready) > 0) return true;
  const console = await tailLines(files.console, 60);
  if (/^\[ *(?!0\.000000\])\d+\.\d{6}\]/m.test(console)) return true;
  try {
    await using monitor = await connectMonitor(generation, { timeoutMs: 2000 });
    return (await blockReads(monitor)) > 0;
  } catch {
    // Without an answer there is no evidence against the guest: a busy host may give one later.
    return undefined;
  }
}

async function never(signal: AbortSignal): Promise<never> {
  return await sleep(2 ** 31 - 1, undefined as never, { signal });
}
