/** What holds for every input, however it came about: checked over all ways into the reader. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { MicroVmError, errorCodes } from "../../../src/errors.js";
import {
  extractImage,
  extractKernel,
  extractToFiles,
  inspectImage,
  inspectRvf,
  inspectStore,
  readKernel,
  verifyRvf,
} from "../../../src/rvf/index.js";
import type { Expectation } from "./assemble.js";
import { meterReads, type Reads } from "./meter.js";
import { places } from "./mutate.js";

/** Something that must not be, with the entry point it was seen at. */
export class Finding extends Error {}

/** Generous: a slow machine is no finding, a loop is. */
const MAX_MILLIS = 10_000;

interface Extracted {
  kernelPath: string;
  initramfsPath?: string;
  sha256: string;
}

export interface Oracle {
  /** Reads the bytes in every way and gives the outcomes (`readKernel: KernelDamaged`); throws a Finding. */
  examine(bytes: Buffer, expectation: Expectation): Promise<string[]>;
  stop(): void;
}

/** `folder` holds the file being read, `input.rvf`, and caches that come and go. */
export async function makeOracle(folder: string): Promise<Oracle> {
  const meter = await meterReads();
  const rejections: unknown[] = [];
  const note = (reason: unknown): unknown => rejections.push(reason);
  process.on("unhandledRejection", note);
  const path = join(folder, "input.rvf");

  /** One way in: what it came to, and within which bounds. */
  const enter = async <T>(name: string, bytes: Buffer, read: () => Promise<T>): Promise<T | MicroVmError> => {
    meter.take();
    const started = performance.now();
    const outcome = await inTime(name, read).catch((error: unknown) => acceptable(name, error));
    if (performance.now() - started > MAX_MILLIS)
      throw new Finding(`${name} took longer than ${MAX_MILLIS} ms`);
    boundReads(name, bytes, meter.take(), outcome instanceof MicroVmError);
    await new Promise(setImmediate);
    if (rejections.length > 0)
      throw new Finding(`${name} left a rejection unhandled: ${String(rejections.pop())}`);
    if (
      !(outcome instanceof MicroVmError) &&
      !isDeepStrictEqual(JSON.parse(JSON.stringify(outcome)), outcome)
    )
      throw new Finding(`${name} gave something that is not JSON`);
    return outcome;
  };

  return {
    async examine(bytes, expectation) {
      writeFileSync(path, bytes);
      const cacheDir = mkdtempSync(join(folder, "cache-"));
      const ways: Record<string, () => Promise<unknown>> = {
        inspectRvf: () => inspectRvf(path),
        inspectStore: () => inspectStore(path),
        readKernel: () => readKernel(path),
        "readKernel strict": () => readKernel(path, { verification: "strict" }),
        verifyRvf: () => verifyRvf(path),
        inspectImage: () => inspectImage(path),
      };
      const outcomes: string[] = [];
      const told = (name: string, outcome: unknown): unknown =>
        outcomes.push(`${name}: ${outcome instanceof MicroVmError ? outcome.code : "ok"}`);
      try {
        for (const [name, read] of Object.entries(ways)) told(name, await enter(name, bytes, read));
        for (const again of ["", " again"]) {
          const kernel = await enter(`extractKernel${again}`, bytes, () => extractKernel(path, { cacheDir }));
          told(`extractKernel${again}`, kernel);
          checkKernel(kernel instanceof MicroVmError ? undefined : contents(kernel), bytes, expectation);
        }
        const written = join(cacheDir, "written");
        const copy = await enter("extractToFiles", bytes, () => extractToFiles(path, { kernel: written }));
        told("extractToFiles", copy);
        if (existsSync(written) === copy instanceof MicroVmError)
          throw new Finding(`extractToFiles left a file behind, or wrote none`);
        const image = await enter("extractImage", bytes, () => extractImage(path, { cacheDir }));
        told("extractImage", image);
        if (!(image instanceof MicroVmError) && !contents(image).equals(bytes))
          throw new Finding("extractImage wrote other bytes than the file has");
        const left = readdirSync(cacheDir, { recursive: true }).filter((name) =>
          /partial|tmp/.test(String(name)),
        );
        if (left.length > 0) throw new Finding(`left in the cache: ${left.join(", ")}`);
      } finally {
        rmSync(cacheDir, { recursive: true, force: true });
      }
      return outcomes;
    },
    stop() {
      meter.stop();
      process.off("unhandledRejection", note);
    },
  };
}

async function inTime<T>(name: string, read: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Finding(`${name} does not come back`)), MAX_MILLIS);
  });
  try {
    return await Promise.race([read(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function acceptable(name: string, error: unknown): MicroVmError {
  if (error instanceof Finding) throw error;
  if (!(error instanceof MicroVmError))
    throw new Finding(`${name} threw ${error instanceof Error ? error.stack : String(error)}`);
  if (!(error.code in errorCodes) || !error.message.trim())
    throw new Finding(`${name} threw an error without code or words: ${error.code} "${error.message}"`);
  return error;
}

/** Linear in what the file has of segments and of directory entries, and a constant. */
function boundReads(name: string, bytes: Buffer, reads: Reads, failed: boolean): void {
  const headers = places(bytes, "SFVR");
  const entries = headers
    .filter((start) => start + 82 <= bytes.length && bytes[start + 5] === 5)
    .map((start) => Math.min(bytes.readUInt32LE(start + 78), (bytes.length - start) / 25));
  const structures = headers.length + entries.reduce((sum, count) => sum + count, 0);
  const maxCalls = 200 + 8 * structures;
  const maxBytes = 16 * bytes.length + 4096 * structures + 64 * 1024;
  const seen = `${name} read ${reads.calls} times, ${reads.bytes} bytes of ${bytes.length}`;
  if (reads.outside.length > 0) throw new Finding(`${name} reads outside the file: ${reads.outside[0]}`);
  if (reads.calls > maxCalls || reads.bytes > maxBytes)
    throw new Finding(`${seen}; at most ${maxCalls} times and ${maxBytes} bytes are expected`);
  if (reads.calls === 0 && !failed && bytes.length > 0)
    throw new Finding(`${name} reads in a way that the meter does not see`);
}

/** The kernel and its initramfs, as they stood together in the file. */
function contents({ kernelPath, initramfsPath, sha256 }: Extracted): Buffer {
  const kernel = readFileSync(kernelPath);
  if (createHash("sha256").update(kernel).digest("hex") !== sha256)
    throw new Finding(`the extracted kernel is not the one of its SHA-256 ${sha256}`);
  return initramfsPath === undefined ? kernel : Buffer.concat([kernel, readFileSync(initramfsPath)]);
}

function checkKernel(image: Buffer | undefined, bytes: Buffer, expectation: Expectation): void {
  const { must, allowed, forbidden, newest } = expectation;
  if (must && !image) throw new Finding("the kernel of an intact file is refused");
  if (!image) return;
  const holds = (one: Buffer): boolean => one.equals(image);
  if (must && !holds(must)) throw new Finding("another image than the newest kernel's came out");
  if (allowed && !allowed.some(holds)) throw new Finding("an image came out that must not");
  if (forbidden.some(holds)) throw new Finding("the kernel of a store within a kernel came out");

  const headers = places(bytes, "NKVR").filter((start) => start + 128 <= bytes.length);
  const stated = headers.filter((start) => bytes.readBigUInt64LE(start + 0x18) >= BigInt(image.length));
  if (stated.length === 0)
    throw new Finding(`${image.length} bytes came out, more than any kernel header states`);
  const plain = stated.filter((start) => bytes.readUInt8(start + 0x28) === 0);
  const area = newest ? bytes.subarray(newest.start, newest.end) : bytes;
  if (plain.length === stated.length && !area.includes(image))
    throw new Finding(
      newest ? "not the newest kernel's image came out" : "bytes came out that are not in the file",
    );
}
