/** The suite: every benchmark by the name that `npm run bench -- NAME` takes. Each compares us with a peer in one run, or counts what must not happen. */
import type { Benchmark } from "./benchmark.js";
import { cold } from "./cold/index.js";
import { density } from "./density/index.js";
import { handover } from "./handover/index.js";
import { launcher } from "./launcher/index.js";
import { provider } from "./provider/index.js";
import { query } from "./query/index.js";
import { rvf } from "./rvf/index.js";
import { warm } from "./warm/index.js";

export const benchmarks: ReadonlyMap<string, Benchmark> = new Map([
  ["rvf", rvf],
  ["cold", cold],
  ["warm", warm],
  ["launcher", launcher],
  ["provider", provider],
  ["query", query],
  ["density", density],
  ["handover", handover],
]);
