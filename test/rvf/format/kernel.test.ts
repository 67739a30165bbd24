import { createHash } from "node:crypto";
import { inspectRvf, readKernel } from "../../../src/rvf/index.js";
import {
  bzImage,
  elf,
  kernel,
  manifest,
  rvf,
  scratch,
  vec,
  type KernelSpec,
  type SegmentSpec,
} from "../build.js";

const files = scratch();
const fileWith = async (...kernels: SegmentSpec[]): Promise<string> =>
  files.file(await rvf(manifest, vec(), ...kernels, manifest));
const CMDLINE = "console=ttyS0 quiet";

describe.each(["image-cmdline", "binding-cmdline-image", "adr030", "adr030-signed"] as const)(
  "layout %s",
  (layout) => {
    test.each(["", "a", "1234567", CMDLINE])("with the command line '%s'", async (cmdline) => {
      const image = bzImage();
      const report = await readKernel(await fileWith(kernel({ layout, cmdline, image })));
      // Without a command line and a signature ADR-030's bytes are those of image-cmdline.
      const name = layout === "adr030" && cmdline === "" ? "image-cmdline" : layout.replace("-signed", "");
      expect(report).toMatchObject({ layout: name, cmdline, image: { size: image.length, kind: "bzImage" } });
      expect(report.warnings.some((warning) => /signature .* not checked/.test(warning))).toBe(
        layout === "adr030-signed",
      );
    });
  },
);

test("where two layouts add up, the image's hash decides", async () => {
  const image = bzImage();
  // image_size and compressed_size disagree, so that both equations hold.
  const spec: KernelSpec = {
    image,
    layout: "adr030",
    cmdline: "1234567",
    header: (bytes) => bytes.writeBigUInt64LE(BigInt(image.length + 1), 0x18),
  };
  expect(await readKernel(await fileWith(kernel(spec)))).toMatchObject({
    layout: "adr030",
    cmdline: "1234567",
  });
});

test("every field of the header is told", async () => {
  const header = (bytes: Buffer): void => {
    bytes.writeUInt8(0xfe, 0x06);
    bytes.writeUInt8(2, 0x07);
    bytes.writeUInt32LE(0x8000_400a, 0x08);
    bytes.writeUInt32LE(96, 0x0c);
    bytes.writeUInt8(2, 0x29);
    bytes.writeUInt16BE(9090, 0x2a);
    bytes.writeUInt32LE(4, 0x68);
    bytes.writeUInt32LE(0x200000, 0x10);
    bytes.fill(0xab, 0x50, 0x60);
    bytes.fill(0xff, 0x60, 0x68);
  };
  const report = await readKernel(await fileWith(kernel({ header, cmdline: CMDLINE })));
  expect(report).toEqual({
    segmentId: 3,
    layout: "image-cmdline",
    image: {
      kind: "bzImage",
      arch: "x86_64",
      size: 2048,
      sha256: createHash("sha256").update(bzImage()).digest("hex"),
    },
    header: {
      arch: "universal",
      type: "asterinas",
      flags: ["REQUIRES_KVM", "HAS_NETWORKING", "HAS_VSOCK", "BIT_31"],
      apiTransport: "vsock",
      apiPort: 9090,
      minMemoryMb: 96,
      vcpus: 4,
      entryPoint: 0x200000,
      buildId: "ab".repeat(16),
      buildTimestamp: "18446744073709551615",
    },
    arch: "x86_64",
    cmdline: CMDLINE,
    compression: "none",
    initramfs: null,
    binding: null,
    integrity:
      "not signed; image hash is a non-cryptographic fold (no protection against forgery); segment hash XXH3-128 matches",
    warnings: [
      "The image hash is a non-cryptographic fold: it shows accidents, not forgery.",
      "The kernel's header has flags that are not known here (BIT_31): they are ignored.",
      "The header says the kernel's API speaks vsock; only HTTP is spoken to it.",
    ],
  });
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
});

test.each([
  [1, elf({ machine: 62 }), "x86_64", /is for aarch64, the image is for x86_64/],
  [0, elf({ machine: 183, note: 1 }), "aarch64", /is for x86_64, the image is for aarch64/],
  [9, bzImage(), "x86_64", /is for unknown \(9\), the image is for x86_64/],
])("the image is believed where the header says arch %d", async (byte, image, arch, warning) => {
  const report = await readKernel(await fileWith(kernel({ image, header: (b) => b.writeUInt8(byte, 6) })));
  expect(report).toMatchObject({ arch, image: { arch } });
  expect(report.warnings).toContainEqual(expect.stringMatching(warning));
});

test("the header is believed where the image tells nothing", async () => {
  const image = Buffer.alloc(300, 7);
  const report = await readKernel(await fileWith(kernel({ image, header: (b) => b.writeUInt8(2, 6) })));
  expect(report).toMatchObject({ arch: "riscv64", image: { arch: "unknown", kind: "unknown" } });
});

test("an appended initramfs is told", async () => {
  const image = Buffer.concat([bzImage(), Buffer.from("070701" + "0".repeat(94))]);
  expect(await readKernel(await fileWith(kernel({ image, cmdline: CMDLINE })))).toMatchObject({
    image: { size: bzImage().length },
    initramfs: { size: 100, format: "cpio" },
    cmdline: CMDLINE,
  });
});

describe("integrity", () => {
  const image = bzImage();
  test.each<[string, KernelSpec, SegmentSpec["checksum"], string]>([
    [
      "SHA3-256",
      { imageHash: createHash("sha3-256").update(image).digest() },
      "shake",
      "not signed; image hash SHA3-256 matches; segment hash SHAKE-256-128 matches",
    ],
    [
      "SHAKE-256",
      { imageHash: createHash("shake256", { outputLength: 32 }).update(image).digest() },
      "crc",
      "not signed; image hash SHAKE-256 matches; segment hash CRC32 matches",
    ],
    [
      "nothing at all",
      { imageHash: Buffer.alloc(32) },
      "unset",
      "not signed; no image hash is set; no segment hash is set",
    ],
  ])("by %s", async (_, spec, checksum, integrity) => {
    const report = await readKernel(
      await fileWith({ ...kernel({ image, ...spec }), ...(checksum && { checksum }) }),
    );
    expect(report.integrity).toBe(integrity);
    expect(report.warnings).toHaveLength(checksum === "unset" ? 2 : 0);
  });

  test("a flipped bit anywhere in the payload is damage", async () => {
    for (const at of [64, 64 + 8, 64 + 128, 64 + 1000, 64 + 128 + image.length]) {
      const damage = (bytes: Buffer): void => void bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at);
      const path = await fileWith({ ...kernel({ cmdline: CMDLINE }), damage });
      await expect(readKernel(path)).rejects.toMatchObject({ code: "KernelDamaged", property: "rvfPath" });
      const { error, integrity } = await inspectRvf(path);
      expect(error?.code ?? integrity?.verdict).toMatch(/KernelDamaged|damaged/);
    }
  });

  test.each(["xxh3", "unset"] as const)(
    "a changed image is damage though the segment's hash is %s",
    async (checksum) => {
      for (const imageHash of [createHash("sha3-256").update(image).digest(), undefined]) {
        const spec = kernel({ image, ...(imageHash && { imageHash }) });
        spec.payload.writeUInt8(1, 128 + 1500);
        await expect(readKernel(await fileWith({ ...spec, checksum }))).rejects.toMatchObject({
          code: "KernelDamaged",
          message: expect.stringMatching(/image does not match its hash/) as string,
        });
      }
    },
  );
});

describe("several kernels", () => {
  const older = kernel({ image: bzImage(1) });
  const newer = kernel({ image: bzImage(2), cmdline: "newer" });

  test("the highest segment id is taken, wherever it stands", async () => {
    expect((await readKernel(await fileWith(older, newer))).cmdline).toBe("newer");
    expect((await readKernel(await fileWith({ ...newer, id: 40n }, { ...older, id: 7n }))).cmdline).toBe(
      "newer",
    );
    const big = await readKernel(await fileWith({ ...newer, id: 2n ** 60n }));
    expect(big.segmentId).toBe("1152921504606846976");
  });

  test.each<[string, (bytes: Buffer) => void]>([
    ["payload", (bytes) => bytes.fill(0xee, 300, 310)],
    ["header's magic", (bytes) => bytes.fill(0xee, 0, 4)],
    ["header's type", (bytes) => bytes.fill(1, 5, 6)],
    ["header's id", (bytes) => bytes.fill(1, 8, 9)],
    ["header's length", (bytes) => bytes.fill(1, 16, 18)],
    ["header's hash", (bytes) => bytes.fill(1, 0x28, 0x38)],
  ])("a newest one with a damaged %s is an error, not the older one", async (_, damage) => {
    const path = await fileWith(older, { ...newer, damage });
    await expect(readKernel(path)).rejects.toMatchObject({ code: "KernelDamaged" });
  });
});

describe("what cannot be booted is refused by name", () => {
  const header = (change: (bytes: Buffer) => void): SegmentSpec => kernel({ header: change });
  const damaged = (damage: (bytes: Buffer) => void): SegmentSpec => ({ ...kernel(), damage });
  test.each<[string, SegmentSpec, RegExp]>([
    ["LZ4", header((b) => b.writeUInt8(1, 0x28)), /compressed \(LZ4\)/],
    ["a custom compression", header((b) => b.writeUInt8(3, 0x28)), /compressed \(custom\)/],
    ["other compression", header((b) => b.writeUInt8(9, 0x28)), /compressed \(unknown \(9\)\)/],
    ["a header of version 2", header((b) => b.writeUInt16LE(2, 4)), /version 2/],
    ["a compressed segment", damaged((b) => b.writeUInt16LE(1, 6)), /segment is compressed/],
    ["an encrypted segment", damaged((b) => b.writeUInt16LE(2, 6)), /segment is encrypted/],
    ["a compression byte of the segment", damaged((b) => b.writeUInt8(2, 0x21)), /segment is compressed/],
    ["an unknown checksum", damaged((b) => b.writeUInt8(7, 0x20)), /unknown algorithm \(number 7\)/],
    ["a NUL", kernel({ cmdline: "quiet\0rw" }), /a NUL at byte 5/],
    ["a newline", kernel({ cmdline: "quiet\nrw" }), /a newline at byte 5/],
    ["an escape", kernel({ cmdline: "\x1b[2J" }), /control character 0x1b at byte 0/],
    ["Latin-1", kernel({ cmdline: Buffer.from([0x61, 0xe9, 0x62]) }), /not UTF-8/],
    ["a long command line", kernel({ cmdline: "x".repeat(2048) }), /2048 bytes, Linux takes 2047/],
  ])("%s", async (_, segment, message) => {
    await expect(readKernel(await fileWith(segment))).rejects.toMatchObject({
      code: "KernelUnsupported",
      message: expect.stringMatching(message) as string,
    });
  });

  test("but COMPRESSED in the flags alone is not believed", async () => {
    const report = await readKernel(await fileWith(header((b) => b.writeUInt32LE(1 << 10, 8))));
    expect(report.header.flags).toEqual(["COMPRESSED"]);
  });
});

describe("sizes that lie are damage", () => {
  const header = (change: (bytes: Buffer) => void): SegmentSpec =>
    kernel({ header: change, cmdline: CMDLINE });
  test.each<[string, SegmentSpec]>([
    ["an image of no bytes", kernel({ image: Buffer.alloc(0) })],
    ["an image size of 0", header((b) => b.fill(0, 0x18, 0x28))],
    ["an image size too large", header((b) => b.writeBigUInt64LE(2n ** 64n - 1n, 0x18))],
    ["sizes that overflow to the right sum", header((b) => b.writeBigUInt64LE(2n ** 64n - 147n, 0x18))],
    ["a command line too long", header((b) => b.writeUInt32LE(0xffffffff, 0x78))],
    ["a command line too short", header((b) => b.writeUInt32LE(1, 0x78))],
    ["a segment shorter than the header", { type: 0x0e, payload: Buffer.from("NKVR") }],
    ["another magic", header((b) => b.fill(0, 0, 4))],
  ])("%s", async (_, segment) => {
    await expect(readKernel(await fileWith(segment))).rejects.toMatchObject({ code: "KernelDamaged" });
  });
});
