/** Medians with their spread. */
import type { Ratio, Series, Target } from "./benchmark.js";

export interface Summary {
  median: number;
  min: number;
  max: number;
}

/** Throws RangeError without samples. */
export function summarise(samples: number[]): Summary {
  if (samples.length === 0) throw new RangeError("There are no samples to summarise.");
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle]!;
  return {
    median: sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2,
    min: sorted[0]!,
    max: sorted.at(-1)!,
  };
}

/** `above` over `below`, round by round. */
export function ratio(name: string, above: Series, below: Series, target?: Target): Ratio {
  const failure = above.failure ?? below.failure;
  const samples =
    failure === undefined ? above.samples.map((sample, round) => sample / below.samples[round]!) : [];
  return { name, samples, ...(failure !== undefined && { failure }), ...(target && { target }) };
}

/** Three significant digits, more only where they stand before the point. */
export const digits = (value: number): string =>
  Number.isInteger(value)
    ? String(value)
    : value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.1)))));

export const meets = (median: number, target: Target): boolean =>
  "atLeast" in target ? median >= target.atLeast : median <= target.atMost;
