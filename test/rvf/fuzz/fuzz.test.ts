/** A short run of the fuzzer with a fixed seed; `npm run fuzz:rvf` goes on for as long as wanted. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { scratch } from "../build.js";
import { campaign } from "./campaign.js";
import { corpus } from "./corpus.js";

const files = scratch();

test("corpus and generated files: a report or an error with a code, and nothing older, nested or foreign", async () => {
  const work = join(files.dir, "work");
  mkdirSync(work);
  const { finding, executions, outcomes } = await campaign({ folder: files.dir, work, seed: 1, runs: 300 });
  expect(finding?.words).toBeUndefined();
  expect(executions).toBe(corpus().length + 300);
  // The run is worth something only if it comes to all of these.
  expect(Object.keys(outcomes)).toEqual(
    expect.arrayContaining([
      "extractKernel: ok",
      "extractKernel: NoKernelSegment",
      "extractKernel: KernelDamaged",
      "extractKernel: KernelUnsupported",
      "extractKernel: RvfInvalid",
    ]),
  );
}, 120_000);
