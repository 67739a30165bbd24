/** Reads one file in one way in a process of its own and tells what it took: `measure.ts WAY FILE`, the answer as JSON. */
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MicroVmError } from "../../../src/errors.js";
import { inspectRvf, readKernel, verifyRvf } from "../../../src/rvf/index.js";
import { meterReads } from "./meter.js";

export interface Measured {
  /** The code of the error, or "ok". */
  outcome: string;
  calls: number;
  bytes: number;
  outside: string[];
  /** Growth of resident memory at its peak, bytes. */
  grown: number;
}

const ways = { inspectRvf, readKernel, verifyRvf };
export type Way = keyof typeof ways;

async function measure(read: (path: string) => Promise<unknown>, path: string): Promise<Measured> {
  // What is loaded and compiled at the first use is no growth by the file.
  const nothing = join(tmpdir(), `microvm-measure-${process.pid}`);
  writeFileSync(nothing, "SFVR");
  await read(nothing).catch(() => undefined);
  rmSync(nothing);
  const meter = await meterReads();
  const before = process.memoryUsage().rss;
  const outcome = await read(path).then(
    () => "ok",
    (error: unknown) => (error instanceof MicroVmError ? error.code : String(error)),
  );
  // The runtime gives the peak in KiB.
  const grown = process.resourceUsage().maxRSS * 1024 - before;
  return { outcome, ...meter.take(), grown };
}

const [way, path] = process.argv.slice(2);
void measure(ways[way as Way], path ?? "").then((measured) => console.log(JSON.stringify(measured)));
