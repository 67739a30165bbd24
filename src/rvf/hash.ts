/** The hash functions found in RVF files, each over a stream of pieces, and the naming of the one that matches. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { createXXHash128 } from "hash-wasm";
import type { ByteRange, Source } from "./source.js";

export interface Hasher {
  update(piece: Uint8Array): unknown;
  digest(): Buffer;
}

/** CRC-32 (IEEE, zlib's) stored as four little-endian words: the checksum rotated left by 0, 8, 16 and 24 bits. */
export function crc32Rotations(): Hasher {
  let value = 0;
  return {
    update: (piece) => (value = crc32(piece, value)),
    digest: () => {
      const stored = Buffer.alloc(16);
      for (let word = 0; word < 4; word++) {
        const bits = 8 * word;
        const rotated = bits === 0 ? value : ((value << bits) | (value >>> (32 - bits))) >>> 0;
        stored.writeUInt32LE(rotated, 4 * word);
      }
      return stored;
    },
  };
}

/** XXH3-128 as stored: a little-endian number, the reverse of its usual printed form. */
export async function xxh3(): Promise<Hasher> {
  const hash = (await createXXHash128()).init();
  return {
    update: (piece) => void hash.update(piece),
    digest: () => Buffer.from(hash.digest("binary")).reverse(),
  };
}

/** SHAKE-256 with an output of `bits`. */
export function shake256(bits: 128 | 256): Hasher {
  return createHash("shake256", { outputLength: bits / 8 });
}

export const sha3 = (): Hasher => createHash("sha3-256");
export const sha256 = (): Hasher => createHash("sha256");

/** The digest of a range of a file. */
export async function digestOf(source: Source, range: ByteRange, hasher: Hasher): Promise<Buffer> {
  for await (const piece of source.stream(range)) hasher.update(piece);
  return hasher.digest();
}

/** All zero bytes: how RVF says that a hash was not set. */
export const isUnset = (hash: Buffer): boolean => hash.every((byte) => byte === 0);
