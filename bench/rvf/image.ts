/** A made kernel image: it need not boot, only look and weigh like one. */
import { createCipheriv } from "node:crypto";

const SETUP_BYTES = 1024;

/** A bzImage by its setup header, of 14 MiB of bytes that no compression helps with; the same at each call. */
export function makeImage(): Buffer {
  const image = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(
    Buffer.alloc(14 * 2 ** 20),
  );
  image.fill(0, 0x1f1, 0x240);
  image.writeUInt8(SETUP_BYTES / 512 - 1, 0x1f1);
  image.writeUInt32LE((image.length - SETUP_BYTES) / 16, 0x1f4);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write("HdrS", 0x202, "latin1");
  image.writeUInt16LE(0x020f, 0x206);
  return image;
}
