import { appendFileSync, copyFileSync, readFileSync, truncateSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { fingerprintRvf } from "../../src/rvf/index.js";
import { kernel, manifest, rvf, scratch, vec, type SegmentSpec } from "./build.js";

const { dir, file } = scratch();

/** A segment far from both ends of its file, with one byte of its own in the middle. */
const big = (middle: number, spec: Partial<SegmentSpec> = {}): SegmentSpec => {
  const payload = Buffer.alloc(300_000, 0x11);
  payload[150_000] = middle;
  return { type: 1, payload, ...spec };
};
const ends = vec(200_000);

const fingerprint = async (...parts: Parameters<typeof rvf>): Promise<string> =>
  await fingerprintRvf(file(await rvf(...parts)));

test("a copy or a touched file is the same, and its length can be read in it", async () => {
  const bytes = await rvf(ends, big(1), ends, manifest);
  const path = file(bytes);
  const before = await fingerprintRvf(path);
  expect(before).toMatch(new RegExp(`^${bytes.length} bytes, segments [0-9a-f]{32}$`));
  utimesSync(path, 1, 1);
  copyFileSync(path, join(dir, "copy"));
  expect(await fingerprintRvf(path)).toBe(before);
  expect(await fingerprintRvf(join(dir, "copy"))).toBe(before);
});

test.each(["xxh3", "crc", "shake"] as const)(
  "another vector in the middle of a store of the same length is seen by its segment's hash (%s)",
  async (checksum) => {
    const [a, b] = await Promise.all(
      [1, 2].map((middle) => fingerprint(ends, big(middle, { checksum }), ends, manifest)),
    );
    expect(a).not.toBe(b);
  },
);

test("another kernel of the same length is seen by its own hash, where its segment has none", async () => {
  const image = (byte: number) => Buffer.alloc(200_000, 0x22).fill(byte, 100_000, 100_001);
  const withKernel = (byte: number) =>
    fingerprint(ends, { ...kernel({ image: image(byte) }), checksum: "unset" }, ends, manifest);
  expect(await withKernel(1)).not.toBe(await withKernel(2));
});

test("vectors that were appended or deleted are seen", async () => {
  const before = await fingerprint(ends, big(1), ends, manifest);
  expect(await fingerprint(ends, big(1), ends, manifest, vec(), manifest)).not.toBe(before);
  expect(await fingerprint(ends, big(1), ends, { manifest: { deleted: [7n] } })).not.toBe(before);
});

test("of a large store next to nothing is read", async () => {
  // The second segment's payload is a hole in the file.
  const holeBytes = 200 << 20;
  const first = await rvf(ends);
  const header = Buffer.from(first.subarray(0, 64));
  header.writeBigUInt64LE(2n, 8);
  header.writeBigUInt64LE(BigInt(holeBytes), 16);
  const path = file(Buffer.concat([first, header]));
  truncateSync(path, first.length + 64 + holeBytes);
  const entries = [
    { id: 1n, offset: 0, length: 200_000, type: 1 },
    { id: 2n, offset: first.length, length: holeBytes, type: 1 },
  ];
  appendFileSync(path, await rvf({ manifest: { entries } }));

  const bytesRead = () => Number(/^rchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))![1]);
  const before = bytesRead();
  expect(await fingerprintRvf(path)).toMatch(/^2\d{8} bytes/);
  expect(bytesRead() - before).toBeLessThan(4 << 20);
});

test("what is no store is told", async () => {
  await expect(fingerprintRvf(file(Buffer.from("nothing")))).rejects.toMatchObject({ code: "RvfInvalid" });
  await expect(fingerprintRvf(join(dir, "none"))).rejects.toMatchObject({ code: "FileNotFound" });
});
