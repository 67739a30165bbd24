import { execFileSync } from "node:child_process";
import { truncateSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { inspectRvf, readKernel } from "../../../src/rvf/index.js";
import { kernel, manifest, manifestPayload, rvf, scratch, vec, witness } from "../build.js";
import type { Checksum, Part } from "../build.js";

const files = scratch();
const refusal = (code: string, message: RegExp): object => ({
  code,
  message: expect.stringMatching(message) as string,
  property: "rvfPath",
});

describe("dialects", () => {
  test.each<[string, Checksum, boolean, string]>([
    ["wire", "xxh3", true, "XXH3-128"],
    ["wire", "shake", true, "SHAKE-256-128"],
    ["legacy", "crc", false, "CRC32"],
    ["legacy", "xxh3-as-0", false, "XXH3-128"],
  ])("%s with %s", async (dialect, checksum, padded, name) => {
    const parts: Part[] = [manifest, vec(53), witness, manifest, kernel({ cmdline: "quiet" }), manifest];
    const path = files.file(await rvf(...parts.map((part) => ({ ...part, checksum, padded }))));
    const report = await inspectRvf(path);
    expect(report).toMatchObject({
      store: { dialect, epoch: 1, dimension: 4, metric: "l2", vectors: 2 },
      integrity: { segment: `${name} matches` },
    });
    const types = report.segments.map(({ type }) => type);
    expect(types).toEqual(["manifest", "vec", "witness", "manifest", "kernel", "manifest"]);
  });

  test("a wire writer's segments after a legacy writer's", async () => {
    const legacy = { checksum: "crc", padded: false } as const;
    const path = files.file(
      await rvf(
        { ...manifest, ...legacy },
        { ...vec(53), ...legacy },
        // The wire writer fills up what the legacy one left.
        { ...manifest, ...legacy, padded: true },
        kernel(),
        manifest,
      ),
    );
    expect(await inspectRvf(path)).toMatchObject({
      store: { dialect: "mixed" },
      kernel: { image: { kind: "bzImage" } },
    });
  });
});

test.each<[string, () => Promise<Buffer>, RegExp]>([
  ["an empty file", () => Promise.resolve(Buffer.alloc(0)), /is empty/],
  [
    "another kind of file",
    () => Promise.resolve(Buffer.from("#!/bin/sh\necho hello\n".repeat(20))),
    /not an RVF/,
  ],
  ["the magic alone", () => Promise.resolve(Buffer.from("SFVR\x01")), /is cut short/],
  [
    "a later version",
    () => Promise.resolve(Buffer.from("SFVR\x02".padEnd(200))),
    /version 2; only version 1/,
  ],
  [
    "a file cut in its first segment",
    async () => (await rvf(vec())).subarray(0, 100),
    /ends after 100 .*1 \(vec\)/,
  ],
  ["a file without a manifest", () => rvf(vec(), witness), /holds no manifest/],
  [
    "garbage behind a header",
    async () => Buffer.concat([await rvf(vec()), Buffer.alloc(99, 7)]),
    /no manifest/,
  ],
  ["a manifest too short", () => rvf({ type: 5, payload: Buffer.alloc(10) }), /damaged manifest at byte 0/],
  [
    "a directory longer than the manifest",
    () => rvf({ type: 5, payload: patched(manifestPayload({ entries: [] }), 14, 0xffffffff) }),
    /damaged manifest/,
  ],
  [
    "more deleted ids than the manifest has room for",
    () => rvf({ type: 5, payload: patched(manifestPayload({ entries: [] }), 22, 0xffffffff) }),
    /damaged manifest/,
  ],
  [
    "a manifest that was changed",
    () => rvf(vec(), manifest, vec(), { ...manifest, damage: (bytes) => bytes.fill(9, 70, 71) }),
    /damaged manifest at byte 384/,
  ],
  [
    "a manifest without a hash that names what is not there",
    () =>
      rvf(vec(), { manifest: { entries: [{ id: 1n, offset: 64, length: 54, type: 1 }] }, checksum: "unset" }),
    /names segments which are not there: segment 1 \(vec\) at byte 64/,
  ],
  [
    "a kernel without its manifest",
    async () => rvf(vec(), manifest, kernel()),
    /its last kernel was written, but not the manifest/,
  ],
  [
    "a file cut within a newer kernel",
    async () => (await rvf(kernel(), manifest, kernel())).subarray(0, 3000),
    /cut short: .*segment 3 \(kernel\)/,
  ],
])("%s is told apart", async (_, bytes, message) => {
  await expect(readKernel(files.file(await bytes()))).rejects.toMatchObject(refusal("RvfInvalid", message));
});

function patched(bytes: Buffer, at: number, value: number): Buffer {
  bytes.writeUInt32LE(value, at);
  return bytes;
}

describe("what is no regular file", () => {
  test("nothing at the path", async () => {
    await expect(readKernel(join(files.dir, "absent.rvf"))).rejects.toMatchObject(
      refusal("FileNotFound", /no file/),
    );
  });
  test("a directory, a device", async () => {
    await expect(readKernel(files.dir)).rejects.toMatchObject(refusal("RvfInvalid", /is a directory/));
    await expect(readKernel("/dev/null")).rejects.toMatchObject(refusal("RvfInvalid", /is a device/));
  });
  test("a FIFO without a writer does not hang", async () => {
    const path = join(files.dir, "fifo");
    execFileSync("mkfifo", [path]);
    await expect(readKernel(path)).rejects.toMatchObject(refusal("RvfInvalid", /is a named pipe/));
  });
  test("a socket", async () => {
    const path = join(files.dir, "socket");
    const server = createServer();
    await new Promise<void>((done) => server.listen(path, done));
    await expect(readKernel(path)).rejects.toMatchObject(refusal("RvfInvalid", /is a socket/));
    await new Promise((done) => server.close(done));
  });
});

test("bytes behind the last segment that are none are a warning", async () => {
  const bytes = Buffer.concat([await rvf(kernel(), manifest), Buffer.from("appended")]);
  const report = await inspectRvf(files.file(bytes));
  expect(report.kernel?.segmentId).toBe(1);
  expect(report.warnings[0]).toMatch(/at the end of the file belong to no segment/);
});

test("numbers of the manifest are numbers only", async () => {
  const path = files.file(
    await rvf({ manifest: { totalVectors: 2n ** 64n - 1n, deleted: [5n], dimension: 65535 } }),
  );
  const report = await inspectRvf(path);
  expect(report).toMatchObject({ store: { vectors: "18446744073709551614", dimension: 65535 } });
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  await expect(readKernel(path)).rejects.toMatchObject({
    code: "NoKernelSegment",
    hint: expect.stringContaining("microvm embed") as string,
  });
});

test("a sparse file of 6 GiB is answered at once", async () => {
  const path = files.file(await rvf(kernel(), manifest));
  truncateSync(path, 6 * 2 ** 30);
  const started = performance.now();
  expect((await inspectRvf(path)).kernel?.segmentId).toBe(1);
  expect(performance.now() - started).toBeLessThan(5000);
});

test("a file full of manifest lookalikes is answered in bounded time", async () => {
  const header = (await rvf({ type: 5, payload: Buffer.alloc(0), id: 1n })).subarray(0, 64);
  const lookalike = patched(Buffer.from(header), 0x10, 1 << 20).fill(1, 0x28, 0x38);
  const bytes = Buffer.concat([
    Buffer.from("SFVR\x01"),
    Buffer.alloc(59),
    ...Array<Buffer>(40_000).fill(lookalike),
  ]);
  bytes.writeBigUInt64LE(2n ** 63n, 0x10);
  const started = performance.now();
  await expect(readKernel(files.file(bytes))).rejects.toMatchObject({ code: "RvfInvalid" });
  expect(performance.now() - started).toBeLessThan(5000);
});
