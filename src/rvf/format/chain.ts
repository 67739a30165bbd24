/** The chain of segments from a file's first byte: what lies within a payload is on it never. */
import { checkContent } from "./content-hash.js";
import type { DirectoryEntry, Manifest } from "./manifest.js";
import {
  MAX_SEGMENTS,
  SEGMENT_ALIGNMENT,
  SEGMENT_HEADER_BYTES,
  readSegmentHeader,
  segmentEnd,
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

/** Follows the segments from byte `from`, where one starts or another ends, header by header. */
export async function walkSegments(source: Source, from: number): Promise<SegmentChain> {
  const segments: SegmentHeader[] = [];
  let end = from;
  while (segments.length < MAX_SEGMENTS) {
    const segment = await nextSegment(source.at, end, source.size);
    if (!segment) break;
    if (segmentEnd(segment) > source.size) return { segments, end: segment.offset, cut: segment };
    segments.push(segment);
    end = segmentEnd(segment);
  }
  return { segments, end };
}

const aligned = (offset: number): number => Math.ceil(offset / SEGMENT_ALIGNMENT) * SEGMENT_ALIGNMENT;

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
  const order = manifest.directory
    .map((entry, index) => ({ ...entry, index }))
    .sort((one, other) => one.offset - other.offset);
  const stops: Stop[] = [...order, { offset: manifest.segment.offset }];
  const headers = new Array<SegmentHeader | undefined>(order.length);
  const perLane = Math.ceil(stops.length / LANES);
  const lanes = Array.from({ length: Math.ceil(stops.length / perLane) }, (_, lane) =>
    followStops(source, stops, lane * perLane, (lane + 1) * perLane, headers),
  );
  const ends = await Promise.all(lanes);
  if (ends.includes("elsewhere")) return undefined;
  const brokenAt = ends.find((end) => typeof end === "number");
  return { headers, ...(brokenAt !== undefined && { brokenAt }) };
}

interface Stop extends Partial<DirectoryEntry> {
  offset: number;
  /** Its place in the directory; none for the manifest, the last stop. */
  index?: number;
}

/** Goes from stop to stop; tells where the chain is broken, or that a stop is not on it ("elsewhere"). */
async function followStops(
  source: Source,
  stops: Stop[],
  from: number,
  to: number,
  headers: (SegmentHeader | undefined)[],
): Promise<number | "elsewhere" | undefined> {
  const read = source.reader();
  const before = stops[from - 1];
  let end = before ? await endOf(read, before, source.size) : 0;
  let brokenAt: number | undefined;
  for (const stop of stops.slice(from, to)) {
    const bridge = await bridgeGap(source, read, end, stop.offset);
    if (bridge === "elsewhere") return bridge;
    brokenAt ??= bridge;
    if (stop.index === undefined) break;
    const header = await readSegmentHeader(read, stop.offset, source.size);
    headers[stop.index] = header && isNamedBy(stop as DirectoryEntry, header) ? header : undefined;
    end = await endOf(read, stop, source.size);
  }
  return brokenAt;
}

async function endOf(read: ReadAt, { offset, payloadLength = 0 }: Stop, size: number): Promise<number> {
  const header = await readSegmentHeader(read, offset, size);
  // Of a damaged header the directory still knows the length.
  return header?.payload.length === payloadLength
    ? segmentEnd(header)
    : offset + SEGMENT_HEADER_BYTES + payloadLength;
}

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
    if (end === to || aligned(end) === to) return undefined;
    if (end > to) return last && (await isTorn(source, last)) ? last.offset : "elsewhere";
    last = await nextSegment(read, end, source.size);
    if (!last) return end;
    end = segmentEnd(last);
  }
  return from;
}

/**
 * Whether a segment was written in part, and others were appended in its place later. Where it goes beyond the end of the
 * file instead, what stands in it may as well be its own payload.
 */
async function isTorn(source: Source, segment: SegmentHeader): Promise<boolean> {
  return segmentEnd(segment) <= source.size && (await checkContent(source, segment)).outcome === "mismatch";
}

export const isNamedBy = ({ id, type, payloadLength }: DirectoryEntry, header: SegmentHeader): boolean =>
  header.id === id && header.type === type && header.payload.length === payloadLength;
