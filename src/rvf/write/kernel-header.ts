/** The 128 bytes before a kernel image, as they are written here: layout image-cmdline, nothing compressed. */
import { KERNEL_HEADER_BYTES, KERNEL_MAGIC } from "../format/kernel.js";
import { linuxOnly, type ImageKind } from "../image/identify.js";
import type { KnownArch } from "./image.js";

const architectures: Record<KnownArch, number> = { x86_64: 0, aarch64: 1, riscv64: 2 };
const MICRO_LINUX = 1;
const CUSTOM = 4;
const HAS_NETWORKING = 1 << 3;
const HAS_QUERY_API = 1 << 4;

export interface HeaderFields {
  arch: KnownArch;
  imageKind: ImageKind;
  /** With the initramfs behind it. */
  imageBytes: number;
  /** SHA3-256 of these bytes. */
  imageHash: Buffer;
  minMemoryMb: number;
  apiPort: number;
  cmdlineBytes: number;
}

export function encodeKernelHeader(fields: HeaderFields): Buffer {
  const { imageKind } = fields;
  const header = Buffer.alloc(KERNEL_HEADER_BYTES);
  KERNEL_MAGIC.copy(header);
  header.writeUInt16LE(1, 0x04);
  header.writeUInt8(architectures[fields.arch], 0x06);
  header.writeUInt8(linuxOnly.has(imageKind) ? MICRO_LINUX : CUSTOM, 0x07);
  header.writeUInt32LE(HAS_NETWORKING | HAS_QUERY_API, 0x08);
  header.writeUInt32LE(fields.minMemoryMb, 0x0c);
  header.writeBigUInt64LE(BigInt(fields.imageBytes), 0x18);
  header.writeBigUInt64LE(BigInt(fields.imageBytes), 0x20);
  // The format's only big-endian field.
  header.writeUInt16BE(fields.apiPort, 0x2a);
  header.writeUInt32LE(1, 0x2c);
  fields.imageHash.copy(header, 0x30);
  header.writeBigUInt64LE(BigInt(KERNEL_HEADER_BYTES + fields.imageBytes), 0x70);
  header.writeUInt32LE(fields.cmdlineBytes, 0x78);
  return header;
}
