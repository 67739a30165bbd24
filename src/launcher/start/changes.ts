/** Tells when a folder's files change: by the kernel's notice, or by looking often where there is none. */
import { watch, type FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Between two looks, in milliseconds: with notices, in case one is lost (network file systems), and without them. */
const pauses = { noticed: 100, unnoticed: 10 };

/** Yields at once, and then each time that one of the files may have changed, until the signal aborts. All are in one folder. */
export async function* changesOf(paths: readonly string[], signal: AbortSignal): AsyncGenerator<void, void> {
  let changed: boolean;
  let wake = () => {};
  const notice = () => {
    changed = true;
    wake();
  };
  const names = paths.map((path) => basename(path));
  // A guest that boots writes to its console all the time, beside the files that are awaited.
  const watcher = tryWatch(dirname(paths[0]!), (name) => {
    if (name === null || names.includes(name)) notice();
  });
  signal.addEventListener("abort", notice);
  try {
    while (!signal.aborted) {
      changed = false;
      yield;
      // A guest that floods its files must not keep us busy.
      await sleep(2);
      if (changed) continue;
      await new Promise<void>((done) => {
        const timer = setTimeout(done, watcher ? pauses.noticed : pauses.unnoticed);
        wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
  } finally {
    signal.removeEventListener("abort", notice);
    watcher?.close();
  }
}

/** Undefined where the host has no more watches to give. */
function tryWatch(dir: string, notice: (name: string | null) => void): FSWatcher | undefined {
  try {
    return watch(dir, (_, name) => notice(name)).on("error", () => {});
  } catch {
    return undefined;
  }
}
