/**
 * For the sampled processes, which are plain JavaScript so that nothing but Node stands between the clock and the work.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { performance } from "node:perf_hooks";

/**
 * Runs `work` once and prints how long it took, how far the process grew meanwhile, and what `evidence` makes of its
 * result (which is not measured).
 */
export async function measure(work, evidence) {
  resetPeak();
  const before = memory("VmRSS");
  const start = performance.now();
  const result = await work();
  const end = performance.now();
  const growthMiB = (memory("VmHWM") - before) / 1024;
  const printed = { millis: end - start, growthMiB, doneAt: performance.timeOrigin + end };
  console.log(JSON.stringify({ ...printed, evidence: await evidence(result) }));
}

/** Makes the kernel forget the process's highest memory use, which importing may have set. */
function resetPeak() {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // A sandbox may refuse it. The growth then comes out too high if anything, never too low.
  }
}

/** A field of /proc/self/status, KiB. */
function memory(field) {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(readFileSync("/proc/self/status", "utf8"))[1]);
}
