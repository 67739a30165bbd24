/** One sample in a fresh Node process, so that neither side finds the other's memory, caches or compiled code. */
import { execa } from "execa";
import { fromRepository } from "../tools/setup/repository.js";

/** What a sampled process prints about itself, as one line of JSON; measured by `measure` of `measure.mjs`. */
interface Printed {
  millis: number;
  growthMiB: number;
  /** When the result was there: milliseconds since 1970. */
  doneAt: number;
  /** Whatever shows that the answer is right. */
  evidence: unknown;
}

export interface Sample extends Omit<Printed, "doneAt"> {
  /** From the start of the process to its result: Node's start and the imports are in it. */
  processMillis: number;
}

/** Runs a JavaScript file of this repository; it has a minute. Throws what it wrote to stderr when it fails. */
export async function sample(script: string, args: string[]): Promise<Sample> {
  const started = performance.timeOrigin + performance.now();
  const { stdout } = await execa(process.execPath, [fromRepository(script), ...args], {
    stdin: "ignore",
    timeout: 60_000,
    // The measured processes load nothing but what they measure.
    env: { NODE_OPTIONS: "" },
  });
  const { doneAt, ...printed } = JSON.parse(stdout) as Printed;
  return { ...printed, processMillis: doneAt - started };
}
