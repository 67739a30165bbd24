/** A promise settled from outside, within bounds. */
import { MicroVmError } from "../errors.js";

export interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
}

/** The longest delay that Node's timers hold; they fire at once for a longer one. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What the signal makes of a wait. */
export const cancelled = (signal: AbortSignal | undefined): MicroVmError =>
  new MicroVmError("Cancelled", "stopped while waiting for QEMU's monitor", { cause: signal?.reason });

/**
 * Settled by `resolve`, `reject`, the deadline (with the error of `late`) or the signal, whichever comes
 * first; then neither a timer nor a listener is left. A rejection that nobody awaits does not end the
 * process.
 */
export function deferred<T>(
  timeoutMs: number,
  late: () => MicroVmError,
  signal: AbortSignal | undefined,
): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const settled = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  const cancel = (): void => reject(cancelled(signal));
  const timer = setTimeout(() => reject(late()), Math.min(timeoutMs, MAX_TIMER_MS));
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted) cancel();

  const promise = settled.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
