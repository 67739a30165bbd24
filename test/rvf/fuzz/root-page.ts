/** The root page that ends a signed store: right in every field but the signature, which no key made. */
import { createHash } from "node:crypto";
import { createCRC32 } from "hash-wasm";
import type { Entry } from "../build.js";

const CRC32C = 0x82f63b78;

export async function rootPage(manifest: Entry | undefined, file: Buffer): Promise<Buffer> {
  const page = Buffer.alloc(4096);
  page.write("0MVR", 0, "latin1");
  page.writeUInt16LE(1, 4);
  if (manifest) {
    const { id, offset, length } = manifest;
    const payload = file.subarray(offset + 64, offset + 64 + length);
    page.writeBigUInt64LE(BigInt(offset), 0x08);
    page.writeBigUInt64LE(BigInt(64 + length), 0x10);
    createHash("shake256", { outputLength: 16 }).update(payload).digest().copy(page, 0xfd0);
    page.writeBigUInt64LE(id, 0xff0);
  }
  page.writeUInt16LE(1, 0x98);
  page.writeUInt16LE(64, 0x9a);
  page.fill(0xa7, 0x9c, 0xdc);
  const crc = (await createCRC32(CRC32C)).init().update(page.subarray(0, 0xffc)).digest("hex");
  page.writeUInt32LE(Number.parseInt(crc, 16), 0xffc);
  return page;
}
