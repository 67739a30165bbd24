/** Takes a zstd frame apart block by block, so that however little input gives however much output, memory stays small. */
import { Decompress } from "fzstd";
import { MicroVmError } from "../../errors.js";
import { damaged, unsupported } from "../format/kernel.js";
import type { ByteRange, Source } from "../source.js";

const MAGIC = 0xfd2fb528;
/** The decoder holds a window of what it gave out; `zstd` up to level 19 uses 8 MiB at most. */
const MAX_WINDOW = 32 * 1024 * 1024;
/** Blocks give up to 128 KiB each. Writers make large ones; a frame of countless small or empty ones is an attack. */
const LEAST_BLOCK = 1024;
const FREE_BLOCKS = 1024;

/**
 * The content of the one frame that fills `range`, in pieces. Throws KernelDamaged as soon as it is more or less than
 * `size` bytes or no valid zstd, KernelUnsupported where it asks for more memory than is given.
 */
export async function* decompressZstd(
  source: Source,
  range: ByteRange,
  size: number,
): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let total = 0;
  const decoder = new Decompress((piece) => {
    total += piece.length;
    if (total > size) throw damaged(`it decompresses to more than the ${size} bytes that its header says`);
    if (piece.length > 0) pieces.push(Buffer.from(piece.buffer, piece.byteOffset, piece.length));
  });
  for await (const part of partsOfFrame(source, range, size / LEAST_BLOCK + FREE_BLOCKS)) {
    push(decoder, part);
    yield* pieces;
    pieces = [];
  }
  // Of a stream of a few bytes the decoder waits for the end before it begins.
  push(decoder, Buffer.alloc(0), true);
  yield* pieces;
  if (total < size) throw damaged(`it decompresses to ${total} bytes, its header says ${size}`);
}

function push(decoder: Decompress, part: Buffer, last = false): void {
  try {
    // The decoder keeps what it does not need yet; the source's buffer is overwritten by the next read.
    decoder.push(Uint8Array.from(part), last);
  } catch (error) {
    throw error instanceof MicroVmError ? error : damaged("its zstd stream is damaged");
  }
}

/** The frame's header, each block, and the checksum if there is one. */
async function* partsOfFrame(source: Source, range: ByteRange, maxBlocks: number): AsyncGenerator<Buffer> {
  const end = range.start + range.length;
  const take = (start: number, length: number): Promise<Buffer> => {
    if (start + length > end) throw damaged("its zstd stream ends early");
    return source.at(start, length);
  };
  const { bytes, checksum } = parseFrameHeader(await take(range.start, Math.min(18, range.length)));
  let at = range.start;
  yield await take(at, bytes);
  at += bytes;
  for (let blocks = 0, last = false; !last; blocks++) {
    if (blocks > maxBlocks) throw unsupported("its zstd stream consists of too many small blocks");
    // 3 bytes: bit 0 last, bits 1-2 type (1 repeats one byte), the rest the size.
    const header = (await take(at, 3)).readUIntLE(0, 3);
    const stored = ((header >> 1) & 3) === 1 ? 1 : header >> 3;
    last = (header & 1) === 1;
    yield await take(at, 3 + stored);
    at += 3 + stored;
  }
  if (checksum) yield await take(at, 4);
  if (at + (checksum ? 4 : 0) !== end) throw damaged("something follows its zstd frame");
}

/** The frame header of RFC 8878, section 3.1.1.1. */
function parseFrameHeader(head: Buffer): { bytes: number; checksum: boolean } {
  if (head.length < 6 || head.readUInt32LE() !== MAGIC) throw damaged("its image is no zstd frame");
  const descriptor = head.readUInt8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  if ((descriptor & 3) !== 0) throw unsupported("its zstd stream needs a dictionary");
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const bytes = 5 + (singleSegment ? 0 : 1) + sizeBytes;
  if (head.length < bytes) throw damaged("its zstd stream ends early");
  const window = singleSegment
    ? contentSize(head, bytes - sizeBytes, sizeBytes)
    : windowSize(head.readUInt8(5));
  if (window > MAX_WINDOW)
    throw unsupported(
      `its zstd stream needs ${Math.ceil(window / 2 ** 20)} MiB of memory; ${MAX_WINDOW / 2 ** 20} are given`,
      "Compress it with `zstd -19 --long=25` or less.",
    );
  return { bytes, checksum: (descriptor & 4) !== 0 };
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSize(head: Buffer, at: number, bytes: number): number {
  if (bytes === 8) return Number(head.readBigUInt64LE(at));
  return head.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0);
}
