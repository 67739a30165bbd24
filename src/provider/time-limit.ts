/** Pulumi's option `customTimeouts`, which the engine leaves to the provider and does not even tell it: the constructor does. */
import { MicroVmError } from "../errors.js";
import { leaving } from "./engine.js";
import { InitFailure } from "./init-failure.js";
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

/** Node's timers count milliseconds in 31 bits, some 25 days; a longer one fires at once. */
const longestTimerMs = 2 ** 31 - 1;

/** How long the operation may take, in milliseconds; undefined where the program sets no limit. */
export const limitOf = (
  operation: "create" | "update" | "delete",
  { customTimeouts }: Partial<Inputs>,
): number | undefined => parseDuration(customTimeouts?.[operation] ?? "") || undefined;

/** Does the work with a signal that fires when the plugin has to leave, or when the time is up, which is then what it throws. */
export async function inTime<T>(
  operation: "create" | "update",
  inputs: Inputs,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limitMs = limitOf(operation, inputs);
  if (limitMs === undefined) return await work(leaving);
  const timeUp = new AbortController();
  const error = new MicroVmError(
    "Timeout",
    `the ${operation} took longer than customTimeouts allows, ${inputs.customTimeouts?.[operation]}`,
    {
      hint: `It was called off. Raise customTimeouts.${operation}; readyTimeoutSeconds is the guest's part of it.`,
    },
  );
  const timer = setTimeout(() => timeUp.abort(error), Math.min(limitMs, longestTimerMs));
  try {
    return await work(AbortSignal.any([leaving, timeUp.signal]));
  } catch (cause) {
    // One that tells of the time, or of the VM that is left, tells more.
    const tells = cause instanceof InitFailure || (cause instanceof MicroVmError && cause.code === "Timeout");
    throw timeUp.signal.aborted && !leaving.aborted && !tells ? error : cause;
  } finally {
    clearTimeout(timer);
  }
}
