/** A segment's content hash: 16 bytes over its payload, by the function that the header names. */
import type { SegmentHeader } from "./segment.js";
import { crc32Rotations, digestOf, shake256, xxh3, type Hasher } from "../hash.js";
import type { Source } from "../source.js";

/** `algorithm` says which function the outcome is about. */
export interface ContentCheck {
  outcome: "match" | "mismatch" | "unset" | "unknown";
  algorithm: string;
}

/** Compares a segment's payload with its content hash. */
export async function checkContent(source: Source, segment: SegmentHeader): Promise<ContentCheck> {
  const { payload, contentHash, checksumAlgorithm } = segment;
  if (contentHash === undefined) return { outcome: "unset", algorithm: "none" };
  const names = algorithms[checksumAlgorithm];
  if (!names) return { outcome: "unknown", algorithm: `number ${checksumAlgorithm}` };
  for (const name of names) {
    const digest = await digestOf(source, payload, await hashers[name]());
    if (digest.toString("hex") === contentHash) return { outcome: "match", algorithm: name };
  }
  return { outcome: "mismatch", algorithm: names.join(" or ") };
}

type Algorithm = "CRC32" | "XXH3-128" | "SHAKE-256-128";

const hashers: Record<Algorithm, () => Hasher | Promise<Hasher>> = {
  CRC32: crc32Rotations,
  "XXH3-128": xxh3,
  "SHAKE-256-128": () => shake256(128),
};

/** What a checksum algorithm of the header can mean: writers of the legacy dialect and of rvf-wire share the 0. */
const algorithms: Readonly<Record<number, readonly Algorithm[]>> = {
  0: ["CRC32", "XXH3-128"],
  1: ["XXH3-128"],
  2: ["SHAKE-256-128"],
};
