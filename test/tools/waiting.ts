/** Bounded waiting for tests of processes. */
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

/** Asks until the answer is truthy; fails after 10 seconds. */
export async function eventually<T>(ask: () => T | Promise<T>): Promise<Exclude<Awaited<T>, false>> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer as Exclude<Awaited<T>, false>;
    if (Date.now() > deadline) throw new Error(`not within 10 seconds: ${ask.toString()}`);
    await setTimeout(20);
  }
}

/** A zombie counts as ended. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
