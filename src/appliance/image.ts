/** The one file that an RVF carries: a kernel with an initramfs behind it. */
import { MicroVmError } from "../errors.js";

/** Linux x86 boot protocol: the setup header's magic, its place, and the first version with `syssize` of 32 bits. */
const HEADER_MAGIC = "HdrS";
const HEADER_MAGIC_AT = 0x202;
const MIN_PROTOCOL = 0x204;

/** WIN_CERTIFICATE of the PE format: u32 length, u16 revision, u16 type; entries are aligned to 8 bytes. */
const CERTIFICATE_HEADER_BYTES = 8;
const CERTIFICATE_REVISION = 0x0200;
const CERTIFICATE_TYPE = 0x0002;
const CERTIFICATE_ALIGNMENT = 8;

/**
 * The initramfs follows where a reader looks for it: at the kernel's end as its setup header tells it, or, when a
 * signature lies there, behind the signature's length rounded up to 8.
 * @throws MicroVmError `ApplianceBuild` when the kernel is no bzImage or has something else behind its end.
 */
export function joinImage(kernel: Buffer, initramfs: Buffer): Buffer {
  const end = kernelEnd(kernel);
  const signature = kernel.subarray(end);
  if (signature.length > 0 && !isCertificate(signature)) {
    throw new MicroVmError(
      "ApplianceBuild",
      `The kernel has ${signature.length} unknown bytes behind its end.`,
    );
  }
  const padding = Buffer.alloc(-signature.length & (CERTIFICATE_ALIGNMENT - 1));
  return Buffer.concat([kernel, padding, initramfs]);
}

/**
 * The kernel's own version, as `uname -r` tells it.
 * @throws MicroVmError `ApplianceBuild` when the image does not begin with a whole bzImage.
 */
export function kernelVersionOf(image: Buffer): string {
  const end = kernelEnd(image);
  const at = 0x200 + image.readUInt16LE(0x20e);
  return image.toString("latin1", at, Math.min(at + 128, end)).split(/[ \0]/, 1)[0]!;
}

function kernelEnd(kernel: Buffer): number {
  const isBzImage =
    kernel.length > HEADER_MAGIC_AT + 6 &&
    kernel.toString("latin1", HEADER_MAGIC_AT, HEADER_MAGIC_AT + 4) === HEADER_MAGIC &&
    kernel.readUInt16LE(HEADER_MAGIC_AT + 4) >= MIN_PROTOCOL;
  // The protocol wants 4 setup sectors where the field is 0; one more is the boot sector.
  const end = isBzImage ? ((kernel[0x1f1] || 4) + 1) * 512 + kernel.readUInt32LE(0x1f4) * 16 : Infinity;
  if (end > kernel.length) throw new MicroVmError("ApplianceBuild", "The kernel is no whole bzImage.");
  return end;
}

function isCertificate(bytes: Buffer): boolean {
  if (bytes.length < CERTIFICATE_HEADER_BYTES) return false;
  const length = bytes.readUInt32LE(0);
  return (
    bytes.readUInt16LE(4) === CERTIFICATE_REVISION &&
    bytes.readUInt16LE(6) === CERTIFICATE_TYPE &&
    // Exactly this one certificate, with or without its padding.
    length <= bytes.length &&
    bytes.length <= Math.ceil(length / CERTIFICATE_ALIGNMENT) * CERTIFICATE_ALIGNMENT
  );
}
