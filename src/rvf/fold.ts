/**
 * The 32-byte fold that RVF writers store as image hash. Not a cryptographic hash: collisions are made at will.
 *
 * Byte i goes to out[i % 32] by addition, and that sum, rotated left by 3, is added to out[(i + 13) % 32]. No step needs
 * the result of one less than 13 before it, so four bytes are worked on at once, each in its lane of a 32-bit word.
 */
import type { Hasher } from "./hash.js";

const WORDS = 8;
const BLOCK = 4 * WORDS;

export function fold(): Hasher {
  const out = new Int32Array(WORDS);
  let carry = 0;
  let rest = Buffer.alloc(0);
  return {
    update(piece) {
      const bytes = rest.length > 0 ? Buffer.concat([rest, piece]) : piece;
      const whole = bytes.length - (bytes.length % BLOCK);
      carry = foldBlocks(out, wordsOf(bytes.subarray(0, whole)), carry);
      rest = Buffer.from(bytes.subarray(whole));
    },
    digest() {
      const result = Buffer.from(new Uint8Array(out.buffer));
      result[12] = result.readUInt8(12) + carry;
      rest.forEach((byte, here) => {
        const there = (here + 13) % BLOCK;
        const sum = (result.readUInt8(here) + byte) & 0xff;
        result[here] = sum;
        result[there] = result.readUInt8(there) + ((sum << 3) | (sum >> 5));
      });
      return result;
    },
  };
}

/** Words lie on boundaries of four bytes in memory; a piece need not. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const { buffer, byteOffset, length } = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
  return new Int32Array(buffer, byteOffset, length / 4);
}

/** Gives what the last word still has to add to the fourth word after it, and takes the same of the blocks before. */
function foldBlocks(out: Int32Array, words: Int32Array, carried: number): number {
  let carry = carried;
  for (let at = 0; at < words.length; at++) {
    const word = at & 7;
    const sum = addLanes(out[word]!, words[at]!);
    out[word] = sum;
    const rotated = ((sum & 0x1f1f1f1f) << 3) | ((sum >>> 5) & 0x07070707);
    // 13 bytes on: three words and a byte. The last lane falls into the word after, whose first lane is free.
    const third = (word + 3) & 7;
    out[third] = addLanes(out[third]!, (rotated << 8) | carry);
    carry = rotated >>> 24;
  }
  return carry;
}

/** Adds four bytes to four bytes, none carrying into the next. */
const addLanes = (one: number, other: number): number =>
  ((one & 0x7f7f7f7f) + (other & 0x7f7f7f7f)) ^ ((one ^ other) & 0x80808080);
