/** The 128-byte header at the start of a kernel segment's payload. */
import { MicroVmError } from "../../errors.js";
import { readLength } from "../source.js";

export const KERNEL_HEADER_BYTES = 128;
/** "NKVR", the little-endian bytes of 0x52564B4E. */
export const KERNEL_MAGIC = Buffer.from("NKVR", "latin1");

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
const compressions: Readonly<Record<number, Compression>> = { 0: "none", 2: "zstd" };
const otherCompressions: Readonly<Record<number, string>> = { 1: "LZ4", 3: "custom" };

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

export type Compression = "none" | "zstd";

export interface KernelHeader {
  arch: string;
  kernelType: string;
  /** Names of the flags that are set; `BIT_n` for one without a name. */
  flags: string[];
  /** MiB; 0 if the header does not say. */
  minMemoryMb: number;
  entryPoint: bigint;
  /** Length of the image itself, an appended initramfs included. */
  imageSize: number;
  /** Length of the image as it is stored. */
  storedSize: number;
  compression: Compression;
  apiTransport: string;
  apiPort: number;
  apiVersion: number;
  imageHash: Buffer;
  /** 16 bytes of the builder's choice. */
  buildId: Buffer;
  buildTimestamp: bigint;
  vcpus: number;
  /** From the start of the payload. */
  cmdlineOffset: number;
  cmdlineLength: number;
}

/** Reads the header; throws KernelDamaged without its magic, KernelUnsupported for a form that is not known here. */
export function parseKernelHeader(bytes: Buffer): KernelHeader {
  if (!bytes.subarray(0, 4).equals(KERNEL_MAGIC))
    throw damaged("its segment does not begin with a kernel header");
  const version = bytes.readUInt16LE(0x04);
  if (version !== 1) throw unsupported(`its header has version ${version}; only 1 is known`);
  const flags = bytes.readUInt32LE(0x08);
  return {
    arch: named(architectures, bytes.readUInt8(0x06)),
    kernelType: named(kernelTypes, bytes.readUInt8(0x07)),
    flags: Array.from({ length: 32 }, (_, bit) => bit)
      .filter((bit) => (flags >>> bit) & 1)
      .map((bit) => flagNames[bit] ?? `BIT_${bit}`),
    minMemoryMb: bytes.readUInt32LE(0x0c),
    entryPoint: bytes.readBigUInt64LE(0x10),
    imageSize: readLength(bytes, 0x18),
    storedSize: readLength(bytes, 0x20),
    compression: compressionOf(bytes.readUInt8(0x28)),
    apiTransport: named(transports, bytes.readUInt8(0x29)),
    // The format's only big-endian field.
    apiPort: bytes.readUInt16BE(0x2a),
    apiVersion: bytes.readUInt32LE(0x2c),
    imageHash: Buffer.from(bytes.subarray(0x30, 0x50)),
    buildId: Buffer.from(bytes.subarray(0x50, 0x60)),
    buildTimestamp: bytes.readBigUInt64LE(0x60),
    vcpus: bytes.readUInt32LE(0x68),
    cmdlineOffset: readLength(bytes, 0x70),
    cmdlineLength: bytes.readUInt32LE(0x78),
  };
}

function compressionOf(value: number): Compression {
  const compression = compressions[value];
  if (compression) return compression;
  const name = named(otherCompressions, value);
  throw unsupported(`it is compressed (${name})`, "Embed it uncompressed, or compressed with zstd.");
}

const named = (names: Readonly<Record<number, string>>, value: number): string =>
  names[value] ?? `unknown (${value})`;

export const unsupported = (what: string, hint?: string): MicroVmError =>
  new MicroVmError("KernelUnsupported", `The kernel in the RVF cannot be booted: ${what}.`, {
    property: "rvfPath",
    ...(hint && { hint }),
  });

export const damaged = (what: string): MicroVmError =>
  new MicroVmError("KernelDamaged", `The kernel in the RVF is damaged: ${what}.`, {
    property: "rvfPath",
    hint: "Restore the file from a copy, or embed the kernel again.",
  });
