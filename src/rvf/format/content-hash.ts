/** A segment's content hash: 16 bytes over its payload, by the function that the header names. */
import type { SegmentHeader } from "./segment.js";
import { crc32Rotations, hashRange, isUnset, shake256, xxh3, type Hasher } from "../hash.js";
import type { Source } from "../source.js";

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
