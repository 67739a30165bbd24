/** A manifest's payload: the state of the store and the directory of its segments. Vectors are never touched. */
import { checkContent } from "./content-hash.js";
import { KERNEL, MAX_SEGMENTS, type SegmentHeader } from "./segment.js";
import { readLength, type ByteRange, type Source } from "../source.js";

export interface DirectoryEntry {
  id: bigint;
  /** Where the segment's header starts in the file. */
  offset: number;
  payloadLength: number;
  type: number;
}

export interface Manifest {
  segment: SegmentHeader;
  epoch: number;
  dimension: number;
  /** Vectors that were written, deleted ones included. Only a number from the file: never allocate by it. */
  totalVectors: bigint;
  deletedVectors: number;
  metric: string;
  directory: DirectoryEntry[];
  /** What follows the deleted ids: the file's identity and, in signed stores, the segments' hashes. */
  trailer: ByteRange;
  /** Whether a content hash stood for these bytes. */
  hashed: boolean;
}

const FIXED_BYTES = 22;
const ENTRY_BYTES = 25;
const metrics = ["l2", "inner_product", "cosine"];

/** Reads and checks the manifest in a segment; undefined if its bytes do not match its hash or contradict themselves. */
export async function readManifest(source: Source, segment: SegmentHeader): Promise<Manifest | undefined> {
  const { start, length } = segment.payload;
  if (length < FIXED_BYTES + 4) return undefined;
  const { outcome } = await checkContent(source, segment);
  if (outcome === "mismatch" || outcome === "unknown") return undefined;

  const fixed = await source.at(start, FIXED_BYTES);
  const count = fixed.readUInt32LE(14);
  const directoryEnd = FIXED_BYTES + ENTRY_BYTES * count;
  if (count > MAX_SEGMENTS || directoryEnd + 4 > length) return undefined;
  const entries = await source.at(start + FIXED_BYTES, ENTRY_BYTES * count);
  const deletedVectors = (await source.at(start + directoryEnd, 4)).readUInt32LE();
  const trailerAt = directoryEnd + 4 + 8 * deletedVectors;
  if (trailerAt > length) return undefined;

  const metric = fixed.readUInt8(19);
  return {
    segment,
    epoch: fixed.readUInt32LE(0),
    dimension: fixed.readUInt16LE(4),
    totalVectors: fixed.readBigUInt64LE(6),
    deletedVectors,
    metric: metrics[metric] ?? `unknown (${metric})`,
    directory: Array.from({ length: count }, (_, index) => parseEntry(entries, ENTRY_BYTES * index)),
    trailer: { start: start + trailerAt, length: length - trailerAt },
    hashed: outcome === "match",
  };
}

function parseEntry(bytes: Buffer, at: number): DirectoryEntry {
  return {
    id: bytes.readBigUInt64LE(at),
    offset: readLength(bytes, at + 8),
    payloadLength: readLength(bytes, at + 16),
    type: bytes.readUInt8(at + 24),
  };
}

/** Where in the directory the kernel with the highest id stands; writers number upwards, so it is the newest. */
export function newestKernel(directory: DirectoryEntry[]): number {
  return directory.reduce((best, entry, index) => {
    if (entry.type !== KERNEL) return best;
    return (directory[best]?.id ?? -1n) > entry.id ? best : index;
  }, -1);
}
