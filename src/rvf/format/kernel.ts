/** A kernel segment's payload: the 128-byte header and the three layouts of image and command line behind it. */
import { MicroVmError } from "../../errors.js";
import type { DirectoryEntry } from "./manifest.js";
import { KERNEL } from "./segment.js";
import { readLength, type ByteRange } from "../source.js";

export const KERNEL_HEADER_BYTES = 128;
/** "NKVR", the little-endian bytes of 0x52564B4E. */
const KERNEL_MAGIC = Buffer.from("NKVR", "latin1");
const BINDING_BYTES = 128;
/** ADR-030's signature behind the image: 2 + 2 bytes, 64 of Ed25519, 4 of the footer's own length. */
const SIGNATURE_FOOTER_BYTES = 72;

const architectures: Readonly<Record<number, string>> = {
  0: "x86_64",
  1: "aarch64",
  2: "riscv64",
  0xfe: "universal",
};
const kernelTypes: Readonly<Record<number, string>> = {
  0: "hermit",
  1: "micro_linux",
  2: "asterinas",
  3: "wasi_preview2",
  4: "custom",
  0xfe: "test_stub",
};
const transports: Readonly<Record<number, string>> = {
  0: "http",
  1: "grpc",
  2: "vsock",
  3: "shared_memory",
  0xff: "none",
};
const compressions: Readonly<Record<number, string>> = { 1: "LZ4", 2: "ZSTD", 3: "custom" };

/** By bit. COMPRESSED says nothing: some writers always set it; only the compression byte tells. */
const flagNames = [
  "REQUIRES_TEE",
  "REQUIRES_KVM",
  "REQUIRES_UEFI",
  "HAS_NETWORKING",
  "HAS_QUERY_API",
  "HAS_INGEST_API",
  "HAS_ADMIN_API",
  "ATTESTATION_READY",
  "SIGNED",
  "MEASURED",
  "COMPRESSED",
  "RELOCATABLE",
  "HAS_VIRTIO_NET",
  "HAS_VIRTIO_BLK",
  "HAS_VSOCK",
];

export interface KernelHeader {
  arch: string;
  kernelType: string;
  flags: string[];
  minMemoryMb: number;
  imageSize: number;
  storedSize: number;
  apiTransport: string;
  apiPort: number;
  imageHash: Buffer;
  vcpus: number;
  cmdlineOffset: number;
  cmdlineLength: number;
}

/** Reads the header; throws KernelDamaged without its magic, KernelUnsupported for a form that is not booted here. */
export function parseKernelHeader(bytes: Buffer): KernelHeader {
  if (!bytes.subarray(0, 4).equals(KERNEL_MAGIC))
    throw new MicroVmError("KernelDamaged", "The kernel segment does not begin with a kernel header.", {
      property: "rvfPath",
    });
  const version = bytes.readUInt16LE(0x04);
  if (version !== 1) throw unsupported(`its header has version ${version}; only 1 is known`);
  const compression = bytes.readUInt8(0x28);
  if (compression !== 0)
    throw unsupported(`it is compressed (${named(compressions, compression)})`, "Embed it uncompressed.");
  const flags = bytes.readUInt32LE(0x08);
  return {
    arch: named(architectures, bytes.readUInt8(0x06)),
    kernelType: named(kernelTypes, bytes.readUInt8(0x07)),
    flags: Array.from({ length: 32 }, (_, bit) => bit)
      .filter((bit) => (flags >>> bit) & 1)
      .map((bit) => flagNames[bit] ?? `BIT_${bit}`),
    minMemoryMb: bytes.readUInt32LE(0x0c),
    imageSize: readLength(bytes, 0x18),
    storedSize: readLength(bytes, 0x20),
    apiTransport: named(transports, bytes.readUInt8(0x29)),
    // The format's only big-endian field.
    apiPort: bytes.readUInt16BE(0x2a),
    imageHash: Buffer.from(bytes.subarray(0x30, 0x50)),
    vcpus: bytes.readUInt32LE(0x68),
    cmdlineOffset: readLength(bytes, 0x70),
    cmdlineLength: bytes.readUInt32LE(0x78),
  };
}

const named = (names: Readonly<Record<number, string>>, value: number): string =>
  names[value] ?? `unknown (${value})`;

export const unsupported = (what: string, hint?: string): MicroVmError =>
  new MicroVmError("KernelUnsupported", `The kernel in the RVF cannot be booted: ${what}.`, {
    property: "rvfPath",
    ...(hint && { hint }),
  });

export interface KernelLayout {
  name: "image-cmdline" | "binding-cmdline-image" | "adr030";
  image: ByteRange;
  cmdline: ByteRange;
  /** Whether a signature follows the image. */
  signed: boolean;
}

/**
 * The layouts whose sizes add up to the payload exactly. `cmdline_offset` is of no help alone: rvf-runtime writes 128
 * even where the image stands there. Two can add up at once; the image's hash then decides.
 */
export function fittingLayouts(header: KernelHeader, payload: ByteRange): KernelLayout[] {
  const { imageSize, storedSize, cmdlineLength, cmdlineOffset } = header;
  const range = (offset: number, length: number): ByteRange => ({ start: payload.start + offset, length });
  const behindHeader = KERNEL_HEADER_BYTES;
  const behindBinding = behindHeader + BINDING_BYTES;
  // ADR-030 ends the command line with at least one NUL and pads to 8.
  const padded = cmdlineLength === 0 ? 0 : Math.ceil((cmdlineLength + 1) / 8) * 8;

  const layouts: KernelLayout[] = [];
  if (payload.length === behindHeader + imageSize + cmdlineLength)
    layouts.push({
      name: "image-cmdline",
      image: range(behindHeader, imageSize),
      cmdline: range(behindHeader + imageSize, cmdlineLength),
      signed: false,
    });
  if (cmdlineOffset === behindBinding && payload.length === behindBinding + cmdlineLength + imageSize)
    layouts.push({
      name: "binding-cmdline-image",
      image: range(behindBinding + cmdlineLength, imageSize),
      cmdline: range(behindBinding, cmdlineLength),
      signed: false,
    });
  for (const footer of [0, SIGNATURE_FOOTER_BYTES])
    if (payload.length === behindHeader + padded + storedSize + footer)
      layouts.push({
        name: "adr030",
        image: range(behindHeader + padded, storedSize),
        cmdline: range(behindHeader, cmdlineLength),
        signed: footer > 0,
      });
  return layouts;
}

/** Where in the directory the kernel with the highest id stands; writers number upwards, so it is the newest. */
export function newestKernel(directory: DirectoryEntry[]): number {
  return directory.reduce((best, entry, index) => {
    if (entry.type !== KERNEL) return best;
    return (directory[best]?.id ?? -1n) > entry.id ? best : index;
  }, -1);
}
