/** RVF segments: the 64-byte header, the two ways writers lay segments out, and the content hash. */
import { crc32Rotations, hashRange, isUnset, shake256, xxh3, type Hasher } from "../hash.js";
import { readLength, type ByteRange, type Source } from "../source.js";

export const SEGMENT_HEADER_BYTES = 64;
/** "SFVR", the little-endian bytes of 0x52564653. */
export const SEGMENT_MAGIC = Buffer.from("SFVR", "latin1");
const SEGMENT_VERSION = 1;
/** Segments of the wire dialect start at multiples of this; those of the legacy dialect at any byte. */
const ALIGNMENT = 64;
/** More than this is no store anyone made: each commit repeats the whole directory, so files grow with its square. */
export const MAX_SEGMENTS = 100_000;

const segmentTypes: Readonly<Record<number, string>> = {
  0x01: "vec",
  0x02: "index",
  0x03: "overlay",
  0x04: "journal",
  0x05: "manifest",
  0x06: "quant",
  0x07: "meta",
  0x08: "hot",
  0x09: "sketch",
  0x0a: "witness",
  0x0b: "profile",
  0x0c: "crypto",
  0x0d: "metaidx",
  0x0e: "kernel",
  0x0f: "ebpf",
  0x10: "wasm",
  0x11: "dashboard",
  0x20: "cow-map",
  0x21: "refcount",
  0x22: "membership",
  0x23: "delta",
};
export const MANIFEST = 0x05;
export const WITNESS = 0x0a;
export const KERNEL = 0x0e;

export const typeName = (type: number): string => segmentTypes[type] ?? `0x${type.toString(16)}`;

export interface SegmentHeader {
  /** Where the header starts in the file. */
  offset: number;
  type: number;
  /** Bit 0 compressed, bit 1 encrypted, bit 2 signed; upstream writes 0. */
  flags: number;
  id: bigint;
  payload: ByteRange;
  /** 0 CRC-32 rotations (legacy) or XXH3-128, 1 XXH3-128, 2 SHAKE-256-128. */
  checksumAlgorithm: number;
  compression: number;
  /** 16 bytes over the payload; no byte of the header is protected by it. */
  contentHash: Buffer;
}

/** The header at `offset`, or undefined where there is none (other magic or version). */
export function parseSegmentHeader(bytes: Buffer, offset: number): SegmentHeader | undefined {
  if (!bytes.subarray(0, 4).equals(SEGMENT_MAGIC) || bytes[4] !== SEGMENT_VERSION) return undefined;
  return {
    offset,
    type: bytes.readUInt8(0x05),
    flags: bytes.readUInt16LE(0x06),
    id: bytes.readBigUInt64LE(0x08),
    payload: { start: offset + SEGMENT_HEADER_BYTES, length: readLength(bytes, 0x10) },
    checksumAlgorithm: bytes.readUInt8(0x20),
    compression: bytes.readUInt8(0x21),
    contentHash: Buffer.from(bytes.subarray(0x28, 0x38)),
  };
}

export const segmentEnd = (segment: SegmentHeader): number => segment.payload.start + segment.payload.length;

/** Reads the header at `offset`; undefined where none fits or none is. */
export async function readSegmentHeader(source: Source, offset: number): Promise<SegmentHeader | undefined> {
  if (offset + SEGMENT_HEADER_BYTES > source.size) return undefined;
  return parseSegmentHeader(await source.at(offset, SEGMENT_HEADER_BYTES), offset);
}

export interface SegmentChain {
  segments: SegmentHeader[];
  /** The byte after the last whole segment and its padding. */
  end: number;
  /** A segment at `end` whose payload goes beyond the end of the file. */
  cut?: SegmentHeader;
}

/**
 * Follows the segments from the file's first byte, header by header. What lies within a payload is never looked
 * at, so nothing in there can pass for a segment.
 */
export async function walkSegments(source: Source): Promise<SegmentChain> {
  const segments: SegmentHeader[] = [];
  let end = 0;
  while (segments.length < MAX_SEGMENTS) {
    const segment = await nextSegment(source, end);
    if (!segment) break;
    if (segmentEnd(segment) > source.size) return { segments, end: segment.offset, cut: segment };
    segments.push(segment);
    end = segmentEnd(segment);
  }
  return { segments, end };
}

/** The segment after byte `end`: behind zero padding to the next boundary (wire) or right there (legacy). */
async function nextSegment(source: Source, end: number): Promise<SegmentHeader | undefined> {
  const padded = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
  if (padded <= source.size && isUnset(await source.at(end, padded - end))) {
    const aligned = await readSegmentHeader(source, padded);
    if (aligned) return aligned;
  }
  return readSegmentHeader(source, end);
}

/** `algorithm` says which function the outcome is about. */
export interface ContentCheck {
  outcome: "match" | "mismatch" | "unset" | "unknown";
  algorithm: string;
}

/** Compares a segment's payload with its content hash. */
export async function checkContent(source: Source, segment: SegmentHeader): Promise<ContentCheck> {
  const { payload, contentHash, checksumAlgorithm } = segment;
  if (isUnset(contentHash)) return { outcome: "unset", algorithm: "none" };
  const candidates = await hashersOf(checksumAlgorithm);
  if (!candidates) return { outcome: "unknown", algorithm: `number ${checksumAlgorithm}` };
  const digests = Object.entries(await hashRange(source, payload, candidates));
  const match = digests.find(([, digest]) => digest.equals(contentHash));
  if (match) return { outcome: "match", algorithm: match[0] };
  return { outcome: "mismatch", algorithm: digests.map(([name]) => name).join(" or ") };
}

/** What a checksum algorithm of the header can mean: writers of the legacy dialect and of rvf-wire share the 0. */
async function hashersOf(algorithm: number): Promise<Record<string, Hasher> | undefined> {
  switch (algorithm) {
    case 0:
      return { CRC32: await crc32Rotations(), "XXH3-128": await xxh3() };
    case 1:
      return { "XXH3-128": await xxh3() };
    case 2:
      return { "SHAKE-256-128": shake256(128) };
    default:
      return undefined;
  }
}
