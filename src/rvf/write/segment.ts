/** Appends one segment to a file: hashed while its payload is written, the header put before it at the end. */
import { sign, type KeyObject } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { SEGMENT_ALIGNMENT, SEGMENT_HEADER_BYTES, SEGMENT_MAGIC, SegmentFlag } from "../format/segment.js";
import { crc32Rotations, shake256 } from "../hash.js";
import {
  SIGNATURE_FOOTER_BYTES,
  encodeSignatureFooter,
  segmentMessage,
} from "../verify/segment-signature.js";
import { stopIfAsked, type Copy } from "./output.js";
import { streamPieces, type Piece } from "./pieces.js";

export interface NewSegment {
  type: number;
  id: bigint;
  pieces: Piece[];
  /** Signs the segment: the flag SIGNED, and a footer behind the payload. */
  privateKey?: KeyObject | undefined;
}

export interface Appended {
  /** Where its header starts in the file. */
  offset: number;
  payloadLength: number;
  /** Where the next one may start. */
  end: number;
}

/**
 * Writes at byte `from`, or at the next 64-byte boundary if `aligned`; then zeros fill up to the boundary behind it, too.
 * The hash is always of CRC-32 rotations, whatever the file's dialect: the one kind that every reader knows.
 */
export async function appendSegment(
  { file, signal }: Copy,
  from: number,
  segment: NewSegment,
  aligned: boolean,
): Promise<Appended> {
  const boundary = (at: number): number =>
    aligned ? Math.ceil(at / SEGMENT_ALIGNMENT) * SEGMENT_ALIGNMENT : at;
  const offset = boundary(from);
  const { privateKey } = segment;

  const content = crc32Rotations();
  const digest = shake256(128);
  const payloadStart = offset + SEGMENT_HEADER_BYTES;
  let at = payloadStart;
  for await (const piece of streamPieces(segment.pieces)) {
    stopIfAsked(signal);
    content.update(piece);
    if (privateKey) digest.update(piece);
    await writeAll(file, piece, at);
    at += piece.length;
  }
  const payloadLength = at - payloadStart;
  const end = boundary(at + (privateKey ? SIGNATURE_FOOTER_BYTES : 0));

  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  SEGMENT_MAGIC.copy(header);
  header.writeUInt8(1, 0x04);
  header.writeUInt8(segment.type, 0x05);
  header.writeUInt16LE(privateKey ? SegmentFlag.signed : 0, 0x06);
  header.writeBigUInt64LE(segment.id, 0x08);
  header.writeBigUInt64LE(BigInt(payloadLength), 0x10);
  content.digest().copy(header, 0x28);
  if (privateKey) {
    const signature = sign(null, segmentMessage(header, digest.digest()), privateKey);
    const footer = encodeSignatureFooter(signature);
    await writeAll(file, footer, at);
    at += footer.length;
  }
  header.writeUInt32LE(end - at, 0x3c);
  await writeAll(file, header, offset);
  await file.truncate(end);
  return { offset, payloadLength, end };
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;)
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}
