/** Files that are made to be expensive, endless or moving: few reads, little memory, an answer or an error with a code. */
import { execFile, execFileSync } from "node:child_process";
import { appendFileSync, closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { fromRepository } from "../../tools/setup/repository.js";
import { MicroVmError } from "../../src/errors.js";
import { extractKernel, inspectImage, inspectRvf, readKernel, verifyRvf } from "../../src/rvf/index.js";
import { bzImage, kernel, manifest, manifestPayload, rvf, scratch, vec, type Entry } from "./build.js";
import type { Measured, Way } from "./fuzz/measure.js";
import { rootPage } from "./fuzz/root-page.js";

const files = scratch();
const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** A process of its own: only there is the peak of memory the file's. */
async function measured(way: Way, path: string): Promise<Measured> {
  const script = fromRepository("test/rvf/fuzz/measure.ts");
  const options = { timeout: 60_000, env: { ...process.env, NODE_OPTIONS: "" } };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", script, way, path],
    options,
  );
  const result = JSON.parse(stdout) as Measured;
  expect(result.outside).toEqual([]);
  expect(result.grown).toBeLessThan(64 * MiB);
  return result;
}

describe("100,000 tiny segments", () => {
  const COUNT = 100_000;
  /** `count` segments of type witness with payloads of one byte, without hashes. */
  async function tiny(count: number, prefix: Buffer): Promise<{ bytes: Buffer; entries: Entry[] }> {
    const one = await rvf({ type: 0x0a, payload: Buffer.from([1]), checksum: "unset", padded: false });
    const bytes = Buffer.concat([prefix, ...Array<Buffer>(count).fill(one)]);
    const entries: Entry[] = [];
    for (let index = 0; index < count; index++) {
      const offset = prefix.length + index * one.length;
      bytes.writeBigUInt64LE(BigInt(index + 2), offset + 8);
      entries.push({ id: BigInt(index + 2), offset, length: 1, type: 0x0a });
    }
    return { bytes, entries };
  }
  const first = (): Promise<Buffer> => rvf({ ...kernel({ cmdline: "quiet" }), padded: false });

  test("all named by one manifest", async () => {
    const start = await first();
    const { bytes, entries } = await tiny(COUNT - 2, start);
    const named = [{ id: 1n, offset: 0, length: start.length - 64, type: 0x0e }, ...entries];
    const end = await rvf({ type: 5, payload: manifestPayload({ entries: named }), id: BigInt(COUNT) });
    const path = files.file(Buffer.concat([bytes, end]));
    for (const way of ["readKernel", "inspectRvf"] as const) {
      const { outcome, calls } = await measured(way, path);
      expect(outcome).toBe("ok");
      expect(calls).toBeLessThan(4_000);
    }
  }, 60_000);

  test("a chain without a manifest", async () => {
    const { bytes } = await tiny(COUNT, await first());
    const { outcome, calls } = await measured("readKernel", files.file(bytes));
    expect(outcome).toBe("RvfInvalid");
    expect(calls).toBeLessThan(4_000);
  }, 60_000);
});

test("a newer kernel behind more segments than are followed: never the older one", async () => {
  const one = await rvf({ type: 0x0a, payload: Buffer.from([1]), checksum: "unset", padded: false });
  const many = Buffer.concat(Array<Buffer>(220_000).fill(one));
  const newer = await rvf({ ...kernel({ cmdline: "newer" }), id: 9n });
  const path = files.file(Buffer.concat([await rvf(kernel(), manifest), many, newer]));
  expect((await measured("readKernel", path)).outcome).toBe("RvfInvalid");
}, 60_000);

test.each([20_000_000, 400_000_000])(
  "a sparse list of %d segment hashes",
  async (count) => {
    const start = await rvf({ ...kernel(), checksum: "shake" });
    const entries = [{ id: 1n, offset: 0, length: Number(start.readBigUInt64LE(0x10)), type: 0x0e }];
    const list = Buffer.alloc(8);
    list.write("SHDG", 0, "latin1");
    list.writeUInt32LE(count, 4);
    const payload = Buffer.concat([manifestPayload({ entries }), list]);
    const length = payload.length + 24 * count;
    const damage = (bytes: Buffer): unknown => bytes.writeBigUInt64LE(BigInt(length), 0x10);
    const end = await rvf({ type: 5, payload, id: 2n, checksum: "unset", padded: false, damage });
    const path = files.file(Buffer.concat([start, end]));
    truncateSync(path, start.length + 64 + length);
    for (const page of [undefined, await rootPage({ id: 2n, offset: start.length, length, type: 5 }, end)]) {
      if (page) appendFileSync(path, page);
      const { outcome, bytes } = await measured("readKernel", path);
      expect(outcome).toMatch(/^(RvfInvalid|KernelUntrusted)$/);
      expect(bytes).toBeLessThan(64 * MiB);
    }
    truncateSync(path, 0);
  },
  60_000,
);

describe("4 MiB of what looks like headers of manifests", () => {
  const bare = Buffer.from("SFVR\x01\x05", "latin1");
  test.each<[string, () => Promise<Buffer>]>([
    ["without end", () => Promise.resolve(bare)],
    ["that fit", async () => (await rvf({ type: 5, payload: Buffer.alloc(0) })).subarray(0, 64)],
    [
      "with manifests behind them that are none",
      () => rvf({ type: 5, payload: Buffer.alloc(64, 1), damage: (bytes) => bytes.writeUInt8(1, 0x28) }),
    ],
    [
      "that contradict themselves",
      () => rvf({ type: 5, payload: Buffer.alloc(64, 0xff), checksum: "unset" }),
    ],
  ])(
    "%s",
    async (_, make) => {
      const payload = Buffer.alloc(4 * MiB, await make());
      for (const bytes of [
        await rvf(kernel(), { type: 1, payload }, manifest),
        await rvf({ type: 1, payload }),
      ]) {
        const { outcome, calls, bytes: read } = await measured("readKernel", files.file(bytes));
        expect(outcome).toMatch(/^(ok|RvfInvalid)$/);
        expect(calls).toBeLessThan(20_000);
        expect(read).toBeLessThan(256 * MiB);
      }
    },
    60_000,
  );
});

describe("a sparse GiB of zeros", () => {
  test.each<[string, () => Promise<Buffer>, string]>([
    ["alone", () => Promise.resolve(Buffer.alloc(0)), "RvfInvalid"],
    ["behind a store", () => rvf(kernel(), manifest), "ok"],
    ["behind a segment's header", async () => (await rvf(vec())).subarray(0, 64), "RvfInvalid"],
    [
      "in a kernel that claims it, without a manifest",
      () => rvf({ ...kernel(), checksum: "unset", damage: (bytes) => bytes.writeUInt32LE(GiB - 64, 0x10) }),
      "RvfInvalid",
    ],
  ])(
    "%s",
    async (_, start, expected) => {
      const path = files.file(await start());
      truncateSync(path, GiB);
      const { outcome, bytes, calls } = await measured("readKernel", path);
      expect(outcome).toBe(expected);
      expect(calls).toBeLessThan(200);
      expect(bytes).toBeLessThan(32 * MiB);
    },
    60_000,
  );

  test("in a kernel that claims it, named by a manifest", async () => {
    const header = await rvf({
      ...kernel({ imageHash: Buffer.alloc(32), header: (bytes) => bytes.writeUInt32LE(GiB - 192, 0x18) }),
      checksum: "unset",
      damage: (bytes) => bytes.writeUInt32LE(GiB - 64, 0x10),
    });
    const path = files.file(header.subarray(0, 192));
    truncateSync(path, GiB);
    const entries = [{ id: 1n, offset: 0, length: GiB - 64, type: 0x0e }];
    appendFileSync(path, await rvf({ type: 5, payload: manifestPayload({ entries }), id: 2n }));
    const { outcome, bytes } = await measured("readKernel", path);
    // Zeros are no image of any kind, with or without a hash.
    expect(outcome).toMatch(/^(ok|Kernel)/);
    // To tell an image's SHA-256 takes reading it, once.
    expect(bytes).toBeLessThan(GiB + 32 * MiB);
  }, 60_000);
});

describe("what is no regular file", () => {
  const entrances = [inspectRvf, readKernel, verifyRvf, inspectImage, extractKernel];
  async function refused(path: string): Promise<void> {
    for (const read of entrances)
      await expect(read(path)).rejects.toMatchObject({
        code: expect.stringMatching(/^(RvfInvalid|InvalidArgument)$/) as string,
        message: expect.stringContaining("must be a regular file") as string,
      });
  }
  test("a folder", () => refused(files.dir));
  test("a device without end", () => refused("/dev/zero"));
  test("a named pipe that nobody writes to", async () => {
    const path = join(files.dir, "pipe");
    execFileSync("mkfifo", [path]);
    await refused(path);
  });
  test("a socket", async () => {
    const path = join(files.dir, "socket");
    const server = createServer();
    await new Promise<void>((done) => server.listen(path, done));
    try {
      await refused(path);
    } finally {
      await new Promise((done) => server.close(done));
    }
  });
});

describe("sizes and lengths at the edges of their types", () => {
  const edges = [2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n].flatMap((edge) => [
    edge - 1n,
    edge - 64n,
    edge - 128n,
  ]);
  const fields: [string, number][] = [
    ["the payload's length", 0x10],
    ["image_size", 64 + 0x18],
    ["compressed_size", 64 + 0x20],
    ["cmdline_offset", 64 + 0x70],
    ["cmdline_length", 64 + 0x78],
  ];
  test.each(fields)("%s", async (name, at) => {
    for (const edge of edges) {
      const damage = (bytes: Buffer): unknown => bytes.writeBigUInt64LE(edge, at);
      const hash = { checksum: "unset", damage } as const;
      const path = files.file(await rvf({ ...kernel({ imageHash: Buffer.alloc(32) }), ...hash }, manifest));
      // The writers' own value of these two says nothing where the image follows the header.
      if (/compressed_size|cmdline_offset/.test(name)) await answered(() => readKernel(path));
      else
        await expect(readKernel(path)).rejects.toMatchObject({
          code: expect.stringMatching(/^(Kernel|Rvf)/) as string,
        });
    }
  });
});

async function answered(read: () => Promise<unknown>): Promise<string> {
  return await read().then(
    () => "ok",
    (error: unknown) => {
      if (!(error instanceof MicroVmError)) throw error;
      return error.code;
    },
  );
}

test.each<[string, (at: number) => Entry[]]>([
  ["itself", (offset) => [{ id: 3n, offset, length: 26 + 25, type: 5 }]],
  [
    "itself a thousand times",
    (offset) => Array<Entry>(1000).fill({ id: 3n, offset, length: 26 + 25_000, type: 5 }),
  ],
  ["one that names it", (offset) => [{ id: 4n, offset: offset + 128, length: 26 + 25, type: 5 }]],
])("a manifest that names %s", async (_, entriesAt) => {
  const start = await rvf(kernel(), manifest);
  const loop = { type: 5, id: 3n, payload: manifestPayload({ entries: entriesAt(start.length) }) };
  const bytes = Buffer.concat([start, await rvf(loop), await rvf({ ...loop, id: 4n })]);
  const path = files.file(bytes);
  expect(await answered(() => readKernel(path))).toMatch(/^(RvfInvalid|NoKernelSegment)$/);
});

describe("a store in a kernel's image is not the file's", () => {
  /** As convincing as can be: its directory names segments by where they stand in the outer file. */
  async function nested(behind: number): Promise<Buffer> {
    const inner = kernel({ image: Buffer.from("nested") });
    const entries = [
      { id: 9n, offset: 64 + 128 + bzImage().length, length: inner.payload.length, type: 0x0e },
    ];
    return Buffer.concat([
      bzImage(),
      await rvf({ ...inner, id: 9n }, { manifest: { entries } }),
      Buffer.alloc(behind),
    ]);
  }
  test.each([0, 1, 4096])("with %d bytes behind it", async (behind) => {
    const image = await nested(behind);
    const whole = await rvf(kernel({ image, cmdline: "" }), manifest);
    const size = Buffer.byteLength(image);
    expect(JSON.stringify(await readKernel(files.file(whole)))).toContain(`"size":${size}`);
    // Where the outer manifest was never written there is none.
    const torn = (await rvf({ ...kernel({ image }), padded: false })).subarray(0, 64 + 128 + size);
    // A kernel that does not match its hash is damaged: what stands in it does not become the file's for that.
    const damaged = Buffer.from(torn);
    damaged.writeUInt8(damaged.readUInt8(0x30) ^ 1, 0x30);
    for (const left of [
      damaged,
      torn,
      whole.subarray(0, torn.length + 30),
      torn.subarray(0, torn.length - 1),
    ])
      await expect(readKernel(files.file(left))).rejects.toMatchObject({ code: "RvfInvalid" });
  });
});

test("files of 0 to 200 bytes", async () => {
  const bytes = await rvf(kernel(), manifest);
  for (let length = 0; length <= 200; length++)
    for (const each of [bytes.subarray(0, length), Buffer.alloc(length)]) {
      const path = files.file(each, "short.rvf");
      for (const read of [inspectRvf, readKernel, extractKernel])
        await expect(read(path)).rejects.toMatchObject({ code: "RvfInvalid" });
    }
});

test.each(["shrinks", "grows", "changes"])(
  "a file that %s while it is read",
  async (how) => {
    const image = Buffer.concat([bzImage(), Buffer.alloc(3 * MiB, 0x33)]);
    const bytes = await rvf(vec(), kernel({ image, cmdline: "quiet" }), manifest);
    const path = files.file(bytes, `${how}.rvf`);
    const cacheDir = join(files.dir, `cache-${how}`);
    const outcomes = new Set<string>();
    for (let round = 0; round < 40; round++) {
      writeFileSync(path, bytes);
      const reading = answered(() => extractKernel(path, { cacheDir }));
      // Anywhere within the reading: each round a little later.
      for (let turn = 0; turn < round; turn++) await new Promise(setImmediate);
      if (how === "shrinks") truncateSync(path, 1000 + round);
      else if (how === "grows") appendFileSync(path, Buffer.alloc(100, 0x44));
      else overwrite(path, MiB + round);
      outcomes.add(await reading);
    }
    for (const outcome of outcomes)
      expect(outcome).toMatch(/^(ok|RvfInvalid|KernelDamaged|KernelExtraction)$/);
    writeFileSync(path, bytes);
    expect(await answered(() => extractKernel(path, { cacheDir }))).toBe("ok");
  },
  60_000,
);

function overwrite(path: string, at: number): void {
  const file = openSync(path, "r+");
  writeSync(file, "other bytes", at);
  closeSync(file);
}
