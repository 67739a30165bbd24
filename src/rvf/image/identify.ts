/** What a kernel image is, by its own magic, and an initramfs appended to it. Nothing here knows of RVF. */
import { constants, gunzipSync } from "node:zlib";
import { appendedInitramfs, type Initramfs } from "./initramfs.js";
import { elfMachine, hasPvhNote } from "./elf.js";
import type { ByteRange, Source } from "../source.js";

export type ImageKind =
  "bzImage" | "elf-pvh" | "elf" | "arm64-image" | "arm64-image-gz" | "riscv-image" | "pe" | "unknown";

/** Those that tell by themselves that the kernel is Linux. */
export const linuxOnly: ReadonlySet<ImageKind> = new Set([
  "bzImage",
  "arm64-image",
  "arm64-image-gz",
  "riscv-image",
]);

export type Arch = "x86_64" | "aarch64" | "riscv64" | "unknown";

export interface ImageParts {
  imageKind: ImageKind;
  arch: Arch;
  /** The kernel without an appended initramfs. */
  kernel: ByteRange;
  initramfs?: Initramfs;
  warnings: string[];
}

/** Enough for every magic and for the x86 setup header. */
const HEAD_BYTES = 0x240;
/** Of a gzip file: unpacks to enough for a magic, and to 4 MB at most. */
const PACKED_HEAD_BYTES = 4096;
const DEFAULT_SETUP_SECTORS = 4;
/** Since boot protocol 2.04 `syssize` is 32 bits wide and can be trusted. */
const SYSSIZE_PROTOCOL = 0x0204;

const elfArchitectures: Readonly<Record<number, Arch>> = { 62: "x86_64", 183: "aarch64", 243: "riscv64" };
const peArchitectures: Readonly<Record<number, Arch>> = {
  0x8664: "x86_64",
  0xaa64: "aarch64",
  0x5064: "riscv64",
};

/** Looks at the image in `range` of a file. Never fails on strange bytes: they are of kind "unknown". */
export async function identifyImage(source: Source, range: ByteRange): Promise<ImageParts> {
  const head = Buffer.alloc(HEAD_BYTES);
  (await source.at(range.start, Math.min(HEAD_BYTES, range.length))).copy(head);
  const whole = (imageKind: ImageKind, arch: Arch): ImageParts => ({
    imageKind,
    arch,
    kernel: range,
    warnings: [],
  });

  // The EFI stubs of x86, arm64 and riscv make their images PE files too: ask for the more telling magic first.
  if (head.readUInt16LE(0x1fe) === 0xaa55 && text(head, 0x202, 4) === "HdrS")
    return bzImage(source, range, head);
  if (isArm64Image(head)) return whole("arm64-image", "aarch64");
  if (text(head, 0x30, 5) === "RISCV" && text(head, 0x38, 4) === "RSC\x05")
    return whole("riscv-image", "riscv64");
  if (text(head, 0, 4) === "\x7fELF") {
    const arch = elfArchitectures[elfMachine(head)] ?? "unknown";
    return whole((await hasPvhNote(source, range)) ? "elf-pvh" : "elf", arch);
  }
  if (text(head, 0, 2) === "MZ") {
    const machine = await peMachine(source, range, head.readUInt32LE(0x3c));
    if (machine !== undefined) return whole("pe", peArchitectures[machine] ?? "unknown");
  }
  if (text(head, 0, 2) === "\x1f\x8b" && isArm64Image(await unpackedHead(source, range)))
    return whole("arm64-image-gz", "aarch64");
  return whole("unknown", "unknown");
}

const isArm64Image = (head: Buffer): boolean => text(head, 0x38, 4) === "ARMd";

async function unpackedHead(source: Source, range: ByteRange): Promise<Buffer> {
  const packed = await source.at(range.start, Math.min(PACKED_HEAD_BYTES, range.length));
  try {
    return gunzipSync(packed, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return Buffer.alloc(0);
  }
}

const text = (bytes: Buffer, at: number, length: number): string => bytes.toString("latin1", at, at + length);

async function bzImage(source: Source, range: ByteRange, head: Buffer): Promise<ImageParts> {
  const image: ImageParts = { imageKind: "bzImage", arch: "x86_64", kernel: range, warnings: [] };
  const syssize = head.readUInt32LE(0x1f4);
  if (head.readUInt16LE(0x206) < SYSSIZE_PROTOCOL || syssize === 0)
    return {
      ...image,
      warnings: ["The bzImage does not tell its size: an appended initramfs would go unseen."],
    };
  const end = ((head.readUInt8(0x1f1) || DEFAULT_SETUP_SECTORS) + 1) * 512 + syssize * 16;
  if (end > range.length)
    return { ...image, warnings: [`The bzImage says it has ${end} bytes, but ${range.length} are there.`] };

  const { initramfs, unknownBytes } = await appendedInitramfs(source, range, end);
  if (initramfs)
    return { ...image, kernel: { start: range.start, length: initramfs.start - range.start }, initramfs };
  if (unknownBytes === 0) return image;
  return {
    ...image,
    warnings: [`${unknownBytes} bytes behind the bzImage are no initramfs of a known format.`],
  };
}

async function peMachine(source: Source, range: ByteRange, at: number): Promise<number | undefined> {
  if (at + 6 > range.length) return undefined;
  const header = await source.at(range.start + at, 6);
  return text(header, 0, 4) === "PE\0\0" ? header.readUInt16LE(4) : undefined;
}
