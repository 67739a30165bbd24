/** The suite: every benchmark by the name that `npm run bench -- NAME` takes. Each compares, in one run, us with a peer. */
import type { Benchmark } from "./benchmark.js";
import { launcher } from "./launcher/index.js";
import { rvf } from "./rvf/index.js";

export const benchmarks: ReadonlyMap<string, Benchmark> = new Map([
  ["rvf", rvf],
  ["launcher", launcher],
]);
