/** The chain of segments from a file's first byte: what lies within a payload is on it never. */
import { MicroVmError } from "../../errors.js";
import { checkContent } from "./content-hash.js";
import type { DirectoryEntry, Manifest } from "./manifest.js";
import {
  MAX_PAYLOAD_BYTES,
  MAX_SEGMENTS,
  SEGMENT_ALIGNMENT,
  SEGMENT_HEADER_BYTES,
  readSegmentHeader,
  type SegmentHeader,
} from "./segment.js";
import { isUnset } from "../hash.js";
import type { ReadAt, Source } from "../source.js";

export interface SegmentChain {
  segments: SegmentHeader[];
  /** The byte after the last whole segment. */
  end: number;
  /** A segment that starts behind `end`, but whose payload goes beyond the end of the file. */
  cut?: SegmentHeader;
}

/**
 * Follows the segments from byte `from`, where one starts or another ends, header by header. Throws RvfInvalid where there
 * are more than anybody makes.
 */
export async function walkSegments(source: Source, from: number): Promise<SegmentChain> {
  const segments: SegmentHeader[] = [];
  const read = source.reader();
  let end = from;
  for (;;) {
    const segment = await nextSegment(read, end, source.size);
    if (!segment) break;
    // What comes after would go unseen, a newer state perhaps.
    if (segments.length === MAX_SEGMENTS)
      throw new MicroVmError(
        "RvfInvalid",
        `"${source.path}" has more than ${MAX_SEGMENTS} segments behind byte ${from}.`,
        { property: "rvfPath", hint: "Compact the store." },
      );
    if (segment.end > source.size) return { segments, end: segment.offset, cut: segment };
    segments.push(segment);
    end = segment.end;
  }
  return { segments, end };
}

const aligned = (offset: number): number => Math.ceil(offset / SEGMENT_ALIGNMENT) * SEGMENT_ALIGNMENT;

/** Whether a segment at byte `to` follows one that ends at byte `end`. */
const isNext = (end: number, to: number): boolean => end === to || aligned(end) === to;

/** The segment after byte `end`: behind zero padding to the next boundary (wire) or right there (legacy). */
async function nextSegment(read: ReadAt, end: number, size: number): Promise<SegmentHeader | undefined> {
  const padded = aligned(end);
  if (padded <= size && isUnset(await read(end, padded - end))) {
    const segment = await readSegmentHeader(read, padded, size);
    if (segment) return segment;
  }
  return await readSegmentHeader(read, end, size);
}

export interface Placement {
  /** The header of each directory entry, in the directory's order; undefined where the file holds something else. */
  headers: (SegmentHeader | undefined)[];
  /** Where the chain is interrupted by damage, though it goes on at the next segment that the manifest names. */
  brokenAt?: number;
}

/** Headers of large stores lie far apart: their reads wait for one another unless some go on side by side. */
const LANES = 16;

/**
 * Finds the segments that a manifest names. Undefined where the manifest is not on the chain but lies in a payload: the
 * segments it names and what lies between them must lead from the file's first byte to the manifest itself, each header
 * to the next one. Whoever writes a payload cannot bring that about, not even in a file that was cut while it was written.
 */
export async function placeSegments(source: Source, manifest: Manifest): Promise<Placement | undefined> {
  const { directory } = manifest;
  const order = directory.inFileOrder();
  const headers: (SegmentHeader | undefined)[] = Array.from(order, () => undefined);
  const perLane = Math.ceil(Math.max(order.length, 1) / LANES);
  const lanes: Promise<number | "elsewhere" | undefined>[] = [];
  for (let from = 0; from === 0 || from < order.length; from += perLane)
    lanes.push(followLane(source, manifest, order, from, Math.min(from + perLane, order.length), headers));
  const outcomes = await Promise.all(lanes);
  if (outcomes.includes("elsewhere")) return undefined;
  const brokenAt = outcomes.find((outcome) => typeof outcome === "number");
  return { headers, ...(brokenAt !== undefined && { brokenAt }) };
}

/**
 * Goes from entry to entry, `from` to `to` of the directory in the file's order, the last lane on to the manifest. Tells the
 * byte where the chain is broken, or that an entry is not on it.
 */
async function followLane(
  source: Source,
  { directory, segment }: Manifest,
  order: Uint32Array,
  from: number,
  to: number,
  headers: (SegmentHeader | undefined)[],
): Promise<number | "elsewhere" | undefined> {
  const read = source.reader();
  const headerAt = (offset: number): Promise<SegmentHeader | undefined> =>
    readSegmentHeader(read, offset, source.size);
  const before = from === 0 ? undefined : directory.at(order[from - 1]!);
  let end = before ? endOf(before, await headerAt(before.offset)) : 0;
  let brokenAt: number | undefined;
  for (const index of order.subarray(from, to)) {
    const entry = directory.at(index);
    const gap = isNext(end, entry.offset) ? undefined : await bridgeGap(source, read, end, entry.offset);
    if (gap === "elsewhere") return gap;
    brokenAt ??= gap;
    const header = await headerAt(entry.offset);
    if (header && isNamedBy(entry, header)) headers[index] = header;
    end = endOf(entry, header);
  }
  if (to < order.length) return brokenAt;
  const gap = await bridgeGap(source, read, end, segment.offset);
  return gap === "elsewhere" ? gap : (brokenAt ?? gap);
}

/** Of a damaged header the directory still knows the length. */
const endOf = ({ offset, payloadLength }: DirectoryEntry, header: SegmentHeader | undefined): number =>
  header?.payload.length === payloadLength ? header.end : offset + SEGMENT_HEADER_BYTES + payloadLength;

/**
 * Follows the chain over what no directory names any more: older manifests, deleted or replaced segments. Tells the byte
 * where it is broken, or that byte `to` is not on it.
 */
async function bridgeGap(
  source: Source,
  read: ReadAt,
  from: number,
  to: number,
): Promise<number | "elsewhere" | undefined> {
  let last: SegmentHeader | undefined;
  for (let end = from, steps = 0; steps < MAX_SEGMENTS; steps++) {
    if (isNext(end, to)) return undefined;
    if (end > to) return last && (await isTorn(source, last)) ? last.offset : "elsewhere";
    last = await nextSegment(read, end, source.size);
    if (!last) return end;
    end = last.end;
  }
  return from;
}

/**
 * Whether a segment was written in part, and others were appended in its place later: then its length leads nowhere, and
 * its bytes are not what was hashed. One that ends where the file or another segment does is whole, however damaged, and
 * what stands in it is its payload. So it may be where it goes beyond the end of the file.
 */
async function isTorn(source: Source, segment: SegmentHeader): Promise<boolean> {
  const end = segment.end;
  if (aligned(end) >= source.size || (await nextSegment(source.at, end, source.size))) return false;
  if (segment.payload.length > MAX_PAYLOAD_BYTES) return false;
  return (await checkContent(source, segment)).outcome === "mismatch";
}

export const isNamedBy = ({ id, type, payloadLength }: DirectoryEntry, header: SegmentHeader): boolean =>
  header.id === id && header.type === type && header.payload.length === payloadLength;
