import { gzipSync } from "node:zlib";
import { inspectImage } from "../../../src/rvf/index.js";
import { identifyImage } from "../../../src/rvf/image/identify.js";
import { withSource } from "../../../src/rvf/source.js";
import { bzImage, certificate, elf, scratch } from "../build.js";

const files = scratch();

const withBytes = (bytes: Buffer, ...changes: [number, Buffer | string][]): Buffer => {
  for (const [at, change] of changes) Buffer.from(change as string, "latin1").copy(bytes, at);
  return bytes;
};
const pe = (machine: number): Buffer => {
  const bytes = withBytes(Buffer.alloc(256), [0, "MZ"], [0x80, "PE\0\0"]);
  bytes.writeUInt32LE(0x80, 0x3c);
  bytes.writeUInt16LE(machine, 0x84);
  return bytes;
};
const arm64Image = withBytes(Buffer.alloc(64), [0x38, "ARM\x64"]);

test.each<[string, Buffer, string, string]>([
  ["a bzImage", bzImage(), "bzImage", "x86_64"],
  ["a bzImage that is PE too", withBytes(bzImage(), [0, "MZ"]), "bzImage", "x86_64"],
  ["an ELF with the PVH note", elf(), "elf-pvh", "x86_64"],
  ["a 32-bit ELF with the PVH note", elf({ bits: 32 }), "elf-pvh", "x86_64"],
  ["an ELF with another Xen note", elf({ note: 17 }), "elf", "x86_64"],
  ["an ELF with another's note 18", elf({ name: "GNU\0" }), "elf", "x86_64"],
  ["an arm64 ELF", elf({ machine: 183, note: 1 }), "elf", "aarch64"],
  ["a riscv ELF", elf({ machine: 243, note: 1 }), "elf", "riscv64"],
  ["an ELF for another machine", elf({ machine: 8, note: 1 }), "elf", "unknown"],
  ["an arm64 Image", arm64Image, "arm64-image", "aarch64"],
  ["a packed arm64 Image", gzipSync(arm64Image), "arm64-image-gz", "aarch64"],
  ["a packed arm64 Image, cut", gzipSync(arm64Image).subarray(0, -9), "arm64-image-gz", "aarch64"],
  ["something else packed", gzipSync(bzImage()), "unknown", "unknown"],
  ["gzip's magic alone", Buffer.from("1f8b", "hex"), "unknown", "unknown"],
  ["an arm64 Image that is PE too", withBytes(pe(0xaa64), [0x38, "ARM\x64"]), "arm64-image", "aarch64"],
  [
    "a riscv Image",
    withBytes(Buffer.alloc(64), [0x30, "RISCV\0\0\0"], [0x38, "RSC\x05"]),
    "riscv-image",
    "riscv64",
  ],
  ["an x86 PE", pe(0x8664), "pe", "x86_64"],
  ["an arm64 PE", pe(0xaa64), "pe", "aarch64"],
  ["a riscv PE", pe(0x5064), "pe", "riscv64"],
  ["a PE for another machine", pe(0x14c), "pe", "unknown"],
  ["MZ alone", withBytes(Buffer.alloc(64, 0xff), [0, "MZ"]), "unknown", "unknown"],
  ["an ELF cut in its header", elf().subarray(0, 20), "elf", "x86_64"],
  ["an ELF cut before its notes", elf().subarray(0, 256), "elf", "x86_64"],
  ["text", Buffer.from("not a kernel"), "unknown", "unknown"],
])("%s is recognised by its bytes", async (_, bytes, imageKind, arch) => {
  expect(await inspectImage(files.file(bytes))).toMatchObject({
    image: { kind: imageKind, arch, size: bytes.length },
    initramfs: null,
    warnings: [],
  });
});

const archives: [string, string][] = [
  ["cpio", "303730373031"],
  ["gzip", "1f8b0800"],
  ["zstd", "28b52ffd"],
  ["lz4", "02214c18"],
  ["lz4", "04224d18"],
  ["xz", "fd377a585a00"],
  ["bzip2", "425a6839"],
];
const tails: [string, Buffer][] = [
  ["right behind the kernel", Buffer.alloc(0)],
  ["behind a signature", certificate(1472)],
  ["behind a signature of odd length", certificate(1469)],
];

describe.each(tails)("an initramfs %s", (_, between) => {
  test.each(archives)("in %s (%s) is split off", async (format, magic) => {
    const archive = Buffer.concat([Buffer.from(magic, "hex"), Buffer.alloc(100, 5)]);
    const kernel = Buffer.concat([bzImage(), between]);
    const path = files.file(Buffer.concat([kernel, archive]));
    const parts = await withSource(path, "image", (source) =>
      identifyImage(source, { start: 0, length: source.size }),
    );
    expect(parts).toMatchObject({
      kernel: { start: 0, length: kernel.length },
      initramfs: { start: kernel.length, length: archive.length, format },
      warnings: [],
    });
  });
});

const shorten = (bytes: Buffer, change: (bytes: Buffer) => void): Buffer => {
  change(bytes);
  return bytes;
};

test.each<[string, Buffer, RegExp | undefined]>([
  ["a signature alone", Buffer.concat([bzImage(), certificate(1472)]), undefined],
  ["other bytes behind the kernel", Buffer.concat([bzImage(), Buffer.from("hello")]), /5 bytes behind/],
  [
    "a certificate longer than the file",
    Buffer.concat([bzImage(), certificate(64).subarray(0, 40)]),
    /40 bytes/,
  ],
  ["a kernel that is cut", bzImage().subarray(0, 1500), /says it has 2048 bytes, but 1500/],
  ["a stub without a size", shorten(bzImage(), (b) => b.writeUInt32LE(0, 0x1f4)), /does not tell its size/],
  [
    "an old boot protocol",
    shorten(bzImage(), (b) => b.writeUInt16LE(0x0203, 0x206)),
    /does not tell its size/,
  ],
  ["a size beyond everything", shorten(bzImage(), (b) => b.writeUInt32LE(0xffffffff, 0x1f4)), /says it has/],
])("a bzImage with %s has no initramfs", async (_, bytes, warning) => {
  const report = await inspectImage(files.file(bytes));
  expect(report.image.kind).toBe("bzImage");
  expect(report.initramfs).toBeNull();
  if (warning) expect(report.warnings).toEqual([expect.stringMatching(warning)]);
  else expect(report.warnings).toEqual([]);
});

test.each([
  ["FileNotFound", () => "/no/such/kernel"],
  ["InvalidArgument", () => files.dir],
])("a kernel path that names no regular file: %s", async (code, path) => {
  await expect(inspectImage(path())).rejects.toMatchObject({ code, property: "kernelPath" });
});
