/** Waits for what another process does. */
import { setTimeout as sleep } from "node:timers/promises";

/** Asks until the answer is yes; throws what was awaited when it is not in time. */
export async function eventually(
  what: string,
  ask: () => Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs / 1000} s: ${what}`);
    await sleep(20);
  }
}
