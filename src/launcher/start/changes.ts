/** Tells when a file changes: by the kernel's notice, or by looking often where there is none. */
import { watch, type FSWatcher } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Between two looks, in milliseconds: with notices, in case one is lost (network file systems), and without them. */
const pauses = { noticed: 100, unnoticed: 10 };

/** Yields at once, and then each time that the file may have changed, until the signal aborts. */
export async function* changesOf(path: string, signal: AbortSignal): AsyncGenerator<void, void> {
  let changed = false;
  let wake = () => {};
  const notice = () => {
    changed = true;
    wake();
  };
  const watcher = tryWatch(path, notice);
  signal.addEventListener("abort", notice);
  try {
    while (!signal.aborted) {
      changed = false;
      yield;
      const looked = performance.now();
      await new Promise<void>((done) => {
        const timer = setTimeout(done, watcher ? pauses.noticed : pauses.unnoticed);
        wake = () => {
          clearTimeout(timer);
          done();
        };
        if (changed) wake();
      });
      // A guest that floods its file must not keep us busy.
      if (performance.now() - looked < 2) await sleep(2);
    }
  } finally {
    signal.removeEventListener("abort", notice);
    watcher?.close();
  }
}

/**
 * Of the file alone: beside it a guest's console grows byte by byte while that boots, and to be told of each costs more than the launch.
 * Undefined where the file is not there, or the host has no more watches to give.
 */
function tryWatch(path: string, notice: () => void): FSWatcher | undefined {
  try {
    return watch(path, notice).on("error", () => {});
  } catch {
    return undefined;
  }
}
