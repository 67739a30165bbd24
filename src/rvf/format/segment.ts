/** RVF segments: the 64-byte header, and the two ways writers lay segments out. */
import { readLength, type ByteRange, type ReadAt } from "../source.js";

export const SEGMENT_HEADER_BYTES = 64;
/** "SFVR", the little-endian bytes of 0x52564653. */
export const SEGMENT_MAGIC = Buffer.from("SFVR", "latin1");
const MAGIC = SEGMENT_MAGIC.readUInt32LE();
const SEGMENT_VERSION = 1;
/** Segments of the wire dialect start at multiples of this; those of the legacy dialect at any byte. */
export const SEGMENT_ALIGNMENT = 64;
/** Upstream reads no more of any segment, so no more is read or hashed here, nor written. */
export const MAX_PAYLOAD_BYTES = 256 * 1024 * 1024;
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

/** A file can have 100,000 of them, so they are kept small: the range of the payload follows from offset and length. */
export class SegmentHeader {
  constructor(
    /** Where the header starts in the file. */
    readonly offset: number,
    readonly type: number,
    /** See `SegmentFlag`; upstream writes 0. */
    readonly flags: number,
    readonly id: bigint,
    private readonly payloadBytes: number,
    /** 0 CRC-32 rotations (legacy) or XXH3-128, 1 XXH3-128, 2 SHAKE-256-128. */
    readonly checksumAlgorithm: number,
    readonly compression: number,
    /** Over the payload, in hex; undefined where none is set. No byte of the header is protected by it. */
    readonly contentHash: string | undefined,
    /** The SignatureFooter behind the payload of a signed segment, 0 where none is. */
    readonly footerBytes: number,
  ) {}

  get payload(): ByteRange {
    return { start: this.offset + SEGMENT_HEADER_BYTES, length: this.payloadBytes };
  }

  /** The byte behind the payload and its signature; padding may follow. */
  get end(): number {
    return this.offset + SEGMENT_HEADER_BYTES + this.payloadBytes + this.footerBytes;
  }
}

/** Bits of a segment's flags; 12 to 15 are reserved. */
export const SegmentFlag = {
  compressed: 0x001,
  encrypted: 0x002,
  /** A SignatureFooter follows the payload. */
  signed: 0x004,
  partial: 0x010,
  tombstone: 0x020,
  reserved: 0xf000,
} as const;

const NO_HASH = "0".repeat(32);

function hashIn(header: Buffer): string | undefined {
  const hash = header.toString("hex", 0x28, 0x38);
  return hash === NO_HASH ? undefined : hash;
}

/** Reads the header at `offset`; undefined where none is or none fits into a file of `size` bytes. */
export async function readSegmentHeader(
  read: ReadAt,
  offset: number,
  size: number,
): Promise<SegmentHeader | undefined> {
  if (offset + SEGMENT_HEADER_BYTES > size) return undefined;
  const bytes = await read(offset, SEGMENT_HEADER_BYTES);
  if (bytes.readUInt32LE(0) !== MAGIC || bytes[4] !== SEGMENT_VERSION) return undefined;
  const flags = bytes.readUInt16LE(0x06);
  const payloadBytes = readLength(bytes, 0x10);
  const signed = (flags & SegmentFlag.signed) !== 0;
  return new SegmentHeader(
    offset,
    bytes.readUInt8(0x05),
    flags,
    bytes.readBigUInt64LE(0x08),
    payloadBytes,
    bytes.readUInt8(0x20),
    bytes.readUInt8(0x21),
    hashIn(bytes),
    // Last: its reads overwrite the header's bytes.
    signed ? await footerBytes(read, offset + SEGMENT_HEADER_BYTES + payloadBytes, size) : 0,
  );
}

/** The length of the SignatureFooter behind a payload, or 0: u16 algorithm, u16 n, n bytes, u32 length of all of it. */
async function footerBytes(read: ReadAt, at: number, size: number): Promise<number> {
  if (at + 8 > size) return 0;
  const bytes = 8 + (await read(at, 4)).readUInt16LE(2);
  if (at + bytes > size) return 0;
  return (await read(at + bytes - 4, 4)).readUInt32LE() === bytes ? bytes : 0;
}
