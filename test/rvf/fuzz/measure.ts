/** Reads one file in one way in a process of its own and tells what it took: `measure.ts WAY FILE`, the answer as JSON. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
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
  // The peak so far is forgotten (proc(5), clear_refs): that of loading and compiling is not the file's either.
  writeFileSync("/proc/self/clear_refs", "5");
  const before = peakMemory();
  const outcome = await read(path).then(
    () => "ok",
    (error: unknown) => (error instanceof MicroVmError ? error.code : String(error)),
  );
  return { outcome, ...meter.take(), grown: peakMemory() - before };
}

/** Bytes of this program. What getrusage tells counts the process it was forked from too, which may be of any size. */
function peakMemory(): number {
  const status = readFileSync("/proc/self/status", "latin1");
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

const [way, path] = process.argv.slice(2);
void measure(ways[way as Way], path ?? "").then((measured) => console.log(JSON.stringify(measured)));
