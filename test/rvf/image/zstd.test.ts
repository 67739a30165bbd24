/** zstd images in frames made byte by byte, and one of the real `zstd` from the fuzzer's seeds. */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { extractKernel, inspectRvf, readKernel } from "../../../src/rvf/index.js";
import { bzImage, kernel, manifest, rvf, scratch, type SegmentSpec } from "../build.js";

const files = scratch();

interface Frame {
  blocks: Buffer[];
  /** Descriptor and what follows it, up to the first block. */
  header?: Buffer;
  tail?: Buffer;
}

const MAGIC = Buffer.from("28b52ffd", "hex");
/** A window of 1 MiB, no content size, no checksum. */
const plainHeader = Buffer.from([0x00, 10 << 3]);
const frame = ({ blocks, header = plainHeader, tail = Buffer.alloc(0) }: Frame): Buffer =>
  Buffer.concat([MAGIC, header, ...blocks, tail]);

function block(type: "raw" | "repeat", content: Buffer, size: number, last: boolean): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE((last ? 1 : 0) | ((type === "repeat" ? 1 : 0) << 1) | (size << 3), 0, 3);
  return Buffer.concat([header, content]);
}
const raw = (content: Buffer, last = true): Buffer => block("raw", content, content.length, last);
const repeat = (byte: number, size: number, last = true): Buffer =>
  block("repeat", Buffer.from([byte]), size, last);

/** An ADR-030 kernel whose stored image is `stored` and whose image is said to be `size` bytes. */
const compressed = (stored: Buffer, size: number, image?: Buffer): SegmentSpec =>
  kernel({
    layout: "adr030",
    cmdline: "quiet",
    image: stored,
    imageHash: image ? createHash("shake256", { outputLength: 32 }).update(image).digest() : Buffer.alloc(32),
    header: (bytes) => {
      bytes.writeUInt8(2, 0x28);
      bytes.writeBigUInt64LE(BigInt(size), 0x18);
    },
  });

const write = async (part: SegmentSpec): Promise<string> => files.file(await rvf(manifest, part, manifest));
const newCache = (): string => join(files.dir, randomBytes(4).toString("hex"));

test("an image in blocks of every simple kind comes out as it went in", async () => {
  const image = Buffer.concat([bzImage(), Buffer.alloc(1000, 7)]);
  const stored = frame({
    blocks: [raw(image.subarray(0, 700), false), raw(image.subarray(700, 2048), false), repeat(7, 1000)],
  });
  const path = await write(compressed(stored, image.length, image));
  const { kernelPath, kernel: report } = await extractKernel(path, { cacheDir: newCache() });
  expect(readFileSync(kernelPath).equals(image)).toBe(true);
  expect(report).toMatchObject({
    layout: "adr030",
    compression: "zstd",
    cmdline: "quiet",
    image: { kind: "bzImage" },
  });
  expect((await inspectRvf(path)).integrity).toMatchObject({
    image: "SHAKE-256 matches",
    verdict: "verified",
  });
});

test("a small frame of the real zstd", async () => {
  const seed = new URL("../corpus/zstd-adr030.rvf", import.meta.url).pathname;
  const { kernelPath } = await extractKernel(seed, { cacheDir: newCache() });
  const image = readFileSync(kernelPath);
  expect(image.subarray(0, bzImage().length).equals(bzImage())).toBe(true);
  expect(image.toString("latin1", bzImage().length)).toMatch(/^word0 word41 .* word\d+$/);
});

const one = Buffer.from([1]);
test.each<[string, Buffer, number, string, RegExp]>([
  ["no frame", Buffer.from("not zstd at all, but long enough"), 100, "KernelDamaged", /no zstd frame/],
  ["a frame cut in its header", MAGIC, 100, "KernelDamaged", /no zstd frame/],
  ["a frame without its blocks", frame({ blocks: [] }), 100, "KernelDamaged", /ends early/],
  [
    "a block that is cut",
    frame({ blocks: [raw(Buffer.alloc(50)).subarray(0, 20)] }),
    50,
    "KernelDamaged",
    /ends early/,
  ],
  ["no last block", frame({ blocks: [raw(Buffer.alloc(50), false)] }), 50, "KernelDamaged", /ends early/],
  [
    "more than it says",
    frame({ blocks: [repeat(0, 100_000)] }),
    50,
    "KernelDamaged",
    /more than the 50 bytes/,
  ],
  [
    "a bomb",
    frame({ blocks: [...Array.from({ length: 5000 }, () => repeat(0, 131_072, false)), repeat(0, 1)] }),
    50,
    "KernelDamaged",
    /more than the 50/,
  ],
  ["less than it says", frame({ blocks: [repeat(0, 49)] }), 50, "KernelDamaged", /decompresses to 49 bytes/],
  [
    "something behind the frame",
    frame({ blocks: [repeat(0, 50)], tail: one }),
    50,
    "KernelDamaged",
    /follows its zstd frame/,
  ],
  [
    "a second frame",
    Buffer.concat([frame({ blocks: [repeat(0, 50)] }), frame({ blocks: [repeat(0, 50)] })]),
    100,
    "KernelDamaged",
    /follows its zstd frame/,
  ],
  [
    "countless empty blocks",
    frame({ blocks: [...Array.from({ length: 5000 }, () => raw(Buffer.alloc(0), false)), repeat(0, 1)] }),
    1,
    "KernelUnsupported",
    /too many small blocks/,
  ],
  [
    "a window of 64 MiB",
    frame({ header: Buffer.from([0, 16 << 3]), blocks: [repeat(0, 50)] }),
    50,
    "KernelUnsupported",
    /needs 64 MiB of memory/,
  ],
  [
    "a window beyond everything",
    frame({ header: Buffer.from([0, 0xff]), blocks: [repeat(0, 50)] }),
    50,
    "KernelUnsupported",
    /MiB of memory/,
  ],
  [
    "a single segment of 2^60 bytes",
    frame({
      header: Buffer.concat([Buffer.from([0xe0]), Buffer.from("0000000000000010", "hex")]),
      blocks: [repeat(0, 50)],
    }),
    50,
    "KernelUnsupported",
    /MiB of memory/,
  ],
  [
    "a dictionary",
    frame({ header: Buffer.from([0x01, 10 << 3, 7]), blocks: [repeat(0, 50)] }),
    50,
    "KernelUnsupported",
    /dictionary/,
  ],
  [
    "a damaged compressed block",
    frame({ blocks: [Buffer.from([0x55, 0, 0, ...Array.from({ length: 10 }, () => 0xff)])] }),
    50,
    "KernelDamaged",
    /zstd stream/,
  ],
  [
    "an image larger than any",
    frame({ blocks: [repeat(0, 50)] }),
    2 ** 40,
    "KernelUnsupported",
    /at most 268435456 are read/,
  ],
])("%s is refused by name", async (_, stored, size, code, message) => {
  await expect(readKernel(await write(compressed(stored, size)))).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  });
});
