import { constants } from "node:os";

/** What ends a command early: Ctrl-C, a request to end, and a terminal that is closed. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The work did not come to its end because of a signal. */
export class Interrupted extends Error {
  constructor(
    override readonly cause: unknown,
    /** What a shell says of a program that the signal ended. */
    readonly exitStatus: number,
  ) {
    super("interrupted", { cause });
  }
}

/**
 * Aborts the work at a signal, so that it can clean up before the command ends. At a second one the process ends at once.
 * Throws Interrupted where the work failed after a signal.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupt = new AbortController();
  let exitStatus = 0;
  const abort = (name: (typeof signals)[number]): void => {
    ignore();
    exitStatus = 128 + constants.signals[name];
    interrupt.abort();
  };
  const ignore = (): void => {
    for (const name of signals) process.removeListener(name, abort);
  };
  for (const name of signals) process.once(name, abort);
  try {
    return await work(interrupt.signal);
  } catch (error) {
    throw interrupt.signal.aborted ? new Interrupted(error, exitStatus) : error;
  } finally {
    ignore();
  }
}
