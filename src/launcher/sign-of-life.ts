/**
 * Whether a guest gets to run at all, while it is awaited. Two hosts' faults leave a guest silent for ever while QEMU says that it
 * runs: a KVM that never executes it, and emulated timers at whose calibration an x86-64 kernel hangs (1 of 12 boots to 1 of
 * 3 of them, by host) where it was not told the clock's rate (tsc.ts).
 */
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { blockReads } from "../qmp/index.js";
import { hasContent, tailLines } from "./console.js";
import { connectMonitor } from "./monitor.js";
import { cpuSeconds, type ProcessIdentity } from "./process.js";
import type { Generation } from "./record.js";
import type { GenerationFiles } from "./vm-folder.js";

/** What a guest that does not run is known by: no console output at all, or none and no disk read for a while. */
export type Lifeless = "silent" | "hung";

/** Ends when the guest has written nothing to its console within the allowance; otherwise never, but by the signal. */
export async function silence(
  files: GenerationFiles,
  allowanceMs: number,
  signal: AbortSignal,
): Promise<Lifeless> {
  await sleep(allowanceMs, undefined, { signal });
  return (await hasContent(files.console)) ? await never(signal) : "silent";
}

/**
 * Processor time that a hung kernel burns before it is given up, in seconds; a good boot reads its disk after 0.3 to 0.6 s. It is not the time of
 * the wall, in which a busy host may have run the guest but little.
 */
const hangAllowance = 5;

/** Ends when the guest hangs at the calibration of its clock; otherwise never, but by the signal. */
export async function hang(
  vm: ProcessIdentity,
  generation: Generation,
  files: GenerationFiles,
  signal: AbortSignal,
): Promise<Lifeless> {
  let last = { size: 0, cpu: 0 };
  for (;;) {
    await sleep(500, undefined, { signal });
    const now = { size: await sizeOf(files.console), cpu: cpuSeconds(vm) };
    if (now.size !== last.size) last = now;
    if (now.cpu - last.cpu < hangAllowance) continue;
    const past = await isPastItsClocks(generation, files);
    if (past !== undefined) return past ? await never(signal) : "hung";
  }
}

/** A kernel whose clock runs prints other times than zero, finds its disk, or has an init that speaks; undefined where it cannot be told yet. */
async function isPastItsClocks(generation: Generation, files: GenerationFiles): Promise<boolean | undefined> {
  if (await hasContent(files.ready)) return true;
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

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

async function never(signal: AbortSignal): Promise<never> {
  return await sleep(2 ** 31 - 1, undefined as never, { signal });
}
