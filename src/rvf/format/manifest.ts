/** A manifest's payload: the state of the store and the directory of its segments. Vectors are never touched. */
import { checkContent } from "./content-hash.js";
import { KERNEL, MAX_PAYLOAD_BYTES, MAX_SEGMENTS, type SegmentHeader } from "./segment.js";
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
  directory: Directory;
  /** What follows the deleted ids: the file's identity and, in signed stores, the segments' hashes. */
  trailer: ByteRange;
  /** Whether a content hash stood for these bytes. */
  hashed: boolean;
}

export const FIXED_BYTES = 22;
export const ENTRY_BYTES = 25;
const metrics = ["l2", "inner_product", "cosine"];

/** Reads and checks the manifest in a segment; undefined if its bytes do not match its hash or contradict themselves. */
export async function readManifest(source: Source, segment: SegmentHeader): Promise<Manifest | undefined> {
  const { start, length } = segment.payload;
  if (length < FIXED_BYTES + 4 || length > MAX_PAYLOAD_BYTES) return undefined;
  const { outcome } = await checkContent(source, segment);
  if (outcome === "mismatch" || outcome === "unknown") return undefined;

  const fixed = await source.at(start, FIXED_BYTES);
  const count = fixed.readUInt32LE(14);
  const directoryEnd = FIXED_BYTES + ENTRY_BYTES * count;
  if (count > MAX_SEGMENTS || directoryEnd + 4 > length) return undefined;
  const entries = Buffer.from(await source.at(start + FIXED_BYTES, ENTRY_BYTES * count));
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
    directory: new Directory(entries),
    trailer: { start: start + trailerAt, length: length - trailerAt },
    hashed: outcome === "match",
  };
}

/** The entries of a manifest, parsed when they are asked for: a hundred thousand would take much memory else. */
export class Directory implements Iterable<DirectoryEntry> {
  constructor(private readonly bytes: Buffer) {}

  get length(): number {
    return this.bytes.length / ENTRY_BYTES;
  }

  at(index: number): DirectoryEntry {
    const at = ENTRY_BYTES * index;
    return {
      id: this.bytes.readBigUInt64LE(at),
      offset: this.offsetAt(index),
      payloadLength: readLength(this.bytes, at + 16),
      type: this.typeAt(index),
    };
  }

  offsetAt(index: number): number {
    return readLength(this.bytes, ENTRY_BYTES * index + 8);
  }

  typeAt(index: number): number {
    return this.bytes.readUInt8(ENTRY_BYTES * index + 24);
  }

  *[Symbol.iterator](): Iterator<DirectoryEntry> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  /** The numbers of the entries in the order of their segments in the file. */
  inFileOrder(): Uint32Array {
    const order = Uint32Array.from({ length: this.length }, (_, index) => index);
    return order.sort((one, other) => this.offsetAt(one) - this.offsetAt(other));
  }

  /** The kernel with the highest id; writers number upwards, so it is the newest. */
  newestKernel(): { index: number; entry: DirectoryEntry } | undefined {
    let newest: { index: number; entry: DirectoryEntry } | undefined;
    for (let index = 0; index < this.length; index++) {
      if (this.typeAt(index) !== KERNEL) continue;
      const entry = this.at(index);
      if (!newest || entry.id >= newest.entry.id) newest = { index, entry };
    }
    return newest;
  }

  /** Whether a manifest's payload has this very directory. */
  isIn(payload: Buffer): boolean {
    return payload.subarray(FIXED_BYTES, FIXED_BYTES + this.bytes.length).equals(this.bytes);
  }

  /** Each type that occurs, once. */
  types(): number[] {
    const found = new Set<number>();
    for (let index = 0; index < this.length; index++) found.add(this.typeAt(index));
    return [...found];
  }
}
