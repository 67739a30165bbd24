/** Pulumi's option `customTimeouts`, which the engine leaves to the provider and does not even tell it: the constructor does. */
import { MicroVmError } from "../errors.js";
import { leaving } from "./engine.js";
import type { Inputs } from "./inputs.js";

const millisOf: Record<string, number> = {
  ...{ h: 3_600_000, m: 60_000, s: 1000, ms: 1 },
  ...{ us: 1e-3, µs: 1e-3, μs: 1e-3, ns: 1e-6 },
};

/** A duration as Go writes it (`1h30m`, `2.5s`) in milliseconds; the engine refuses every other. */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+\.?\d*|\.\d+)(h|ms|m|s|us|µs|μs|ns)/g)];
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * millisOf[unit!]!, 0);
}

/** Does the work with a signal that fires when the plugin has to leave, or when the time is up, which is then what it throws. */
export async function inTime<T>(
  operation: "create" | "update",
  { customTimeouts }: Inputs,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = customTimeouts?.[operation];
  if (!limit) return await work(leaving);
  const timeUp = new AbortController();
  const error = new MicroVmError(
    "Timeout",
    `the ${operation} took longer than customTimeouts allows, ${limit}`,
    {
      hint: `It was called off. Raise customTimeouts.${operation}; readyTimeoutSeconds is the guest's part of it.`,
    },
  );
  const timer = setTimeout(() => timeUp.abort(error), parseDuration(limit));
  try {
    return await work(AbortSignal.any([leaving, timeUp.signal]));
  } catch (cause) {
    throw timeUp.signal.aborted && !leaving.aborted ? error : cause;
  } finally {
    clearTimeout(timer);
  }
}
