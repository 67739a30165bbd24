/** Tampers with a store as somebody would who knows the format: what can be computed anew is. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

const SEGMENT_HEADER = 64;
const KERNEL_HEADER = 128;

/**
 * The store with one byte of the newest kernel's image changed and the hash of its segment (CRC-32 rotations) made to fit; with
 * `imageHash` the SHA3-256 in its header, too, so that nothing but a signature can tell.
 */
export function forged(store: Buffer, { imageHash = false } = {}): Buffer {
  const bytes = Buffer.from(store);
  const at = newestKernel(bytes);
  const length = Number(bytes.readBigUInt64LE(at + 0x10));
  const payload = bytes.subarray(at + SEGMENT_HEADER, at + SEGMENT_HEADER + length);
  const image = payload.subarray(KERNEL_HEADER, KERNEL_HEADER + Number(payload.readBigUInt64LE(0x18)));
  const target = image.length - 1;
  image.writeUInt8(image.readUInt8(target) ^ 1, target);
  if (imageHash) createHash("sha3-256").update(image).digest().copy(payload, 0x30);
  const crc = crc32(payload);
  [0, 8, 16, 24].forEach((bits, word) => {
    const rotated = bits === 0 ? crc : ((crc << bits) | (crc >>> (32 - bits))) >>> 0;
    bytes.writeUInt32LE(rotated, at + 0x28 + 4 * word);
  });
  return bytes;
}

function newestKernel(bytes: Buffer): number {
  for (let at = bytes.lastIndexOf("SFVR"); at >= 0; at = bytes.lastIndexOf("SFVR", at - 1))
    if (bytes[at + 5] === 0x0e && bytes.toString("latin1", at + 64, at + 68) === "NKVR") return at;
  throw new Error("The store has no kernel.");
}
