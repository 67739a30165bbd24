/** What every benchmark gives: series, as far as they are compared side by side in rounds, and the ratios that follow from them. */
import type { PartName, PartsEnvironment } from "../tools/setup/index.js";
import type { Chart } from "./charts/chart.js";

export interface Benchmark {
  /** One line for a person: what is compared. */
  title: string;
  /** Real parts that have to be there before it starts. */
  parts: PartName[];
  /** Pictures of what it measures. */
  charts: Chart[];
  /** Measures. Throws when a side gives a wrong answer, since its time would mean nothing, unless the others say something without it. */
  run: (say: (line: string) => void, parts: PartsEnvironment) => Promise<Measured>;
}

export interface Measured {
  /** What was measured and how, for who reads the numbers without the code. */
  method: string[];
  /** Packages whose speed was measured, by name. */
  versions: Record<string, string>;
  series: Series[];
  ratios: Ratio[];
}

/** One quantity; sample i of every series that a ratio is made of comes from round i. */
export interface Series {
  name: string;
  /** Empty for counts. */
  unit: "ms" | "MiB" | "/s" | "";
  samples: number[];
  /** Why there is nothing to say; the samples then count for nothing. */
  failure?: string;
  /** A limit for the median. */
  target?: Target;
}

/** The quotient of two series, taken round by round, so that a busy machine slows both halves of each quotient. */
export interface Ratio {
  name: string;
  samples: number[];
  /** That of either series. */
  failure?: string;
  target?: Target;
}

/** A target is told as met or missed and never fails the run: timings are the machine's as much as the code's. */
export type Target = { atLeast: number } | { atMost: number };
