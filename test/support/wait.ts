/** Waits for what another process does. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** Asks until the answer is truthy, and returns it; fails with the question when that takes longer. */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  seconds = 60,
): Promise<Exclude<Awaited<T>, Falsy>> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer as Exclude<Awaited<T>, Falsy>;
    if (performance.now() > deadline) throw new Error(`not within ${seconds} seconds: ${ask.toString()}`);
    await sleep(20);
  }
}

type Falsy = false | undefined | null | "" | 0;

/** A zombie counts as ended. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
