/** A second launch: what is known of a file is believed as long as nothing about it changed, and no longer. */
import * as fs from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  extractKernel,
  generateKeyPair,
  readKernel,
  signKernel,
  type ExtractOptions,
} from "../../../src/rvf/index.js";
import { bzImage, kernel, manifest, rvf, scratch, vec } from "../build.js";
import { meterReads } from "../fuzz/meter.js";

const files = scratch();
const initramfs = Buffer.concat([Buffer.from("1f8b0800", "hex"), Buffer.alloc(300_000, 6)]);
const store = (fill: number): Promise<Buffer> =>
  rvf(vec(), kernel({ image: Buffer.concat([bzImage(fill), initramfs]) }), manifest);
/** Headers and their neighbourhood; the images are far larger. */
const FEW_BYTES = 20_000;

const settled: string[] = [];
const signer = generateKeyPair();
let signedStore: string;
let meter: Awaited<ReturnType<typeof meterReads>>;

beforeAll(async () => {
  const bytes = await store(0x90);
  for (let count = 0; count < 24; count++) settled.push(files.file(bytes));
  signedStore = join(files.dir, "signed.rvf");
  await signKernel(settled[0]!, { privateKey: signer.privateKey, out: signedStore });
  meter = await meterReads();
  // What changed within the last two seconds is never remembered.
  await sleep(2100);
});
afterAll(() => meter.stop());

/** A store that has not changed for long enough, and an empty cache. */
const fresh = () => ({ path: settled.pop()!, cacheDir: fs.mkdtempSync(join(files.dir, "cache-")) });

/** Extracts, and tells whether the images were read. */
async function extract(path: string, options: ExtractOptions) {
  meter.take();
  const result = await extractKernel(path, options);
  return { ...result, readImages: meter.take().bytes > FEW_BYTES };
}

/** Extracts once, so that the file is known. */
async function known() {
  const { path, cacheDir } = fresh();
  const first = await extract(path, { cacheDir });
  expect(first.readImages).toBe(true);
  return { path, cacheDir, first, again: () => extract(path, { cacheDir }) };
}

const recordsIn = (cacheDir: string): string[] =>
  fs.readdirSync(join(cacheDir, "known")).map((name) => join(cacheDir, "known", name));

test("the second time gives the same without a look at the images", async () => {
  const { first, again } = await known();
  expect(await again()).toEqual({ ...first, readImages: false });
});

test("to look at its kernel takes no look at the images either", async () => {
  const { path, cacheDir, first } = await known();
  meter.take();
  const seen = await readKernel(path, { cacheDir });
  expect(meter.take().bytes).toBeLessThan(FEW_BYTES);
  expect(seen).toEqual(first.kernel);
  await expect(readKernel(path, { cacheDir, verification: "signed" })).rejects.toMatchObject({
    code: "KernelUntrusted",
  });
});

test("a file that changed just now is not remembered", async () => {
  const { cacheDir } = fresh();
  const path = files.file(await store(0x90));
  await extract(path, { cacheDir });
  expect(fs.existsSync(join(cacheDir, "known"))).toBe(false);
  expect((await extract(path, { cacheDir })).readImages).toBe(true);
});

describe("a file that is another one now is read again", () => {
  test("written over, with its size and time as they were", async () => {
    const { path, first, again } = await known();
    const { atime, mtime } = fs.statSync(path);
    fs.writeFileSync(path, await store(0x91));
    fs.utimesSync(path, atime, mtime);
    const second = await again();
    expect(second.readImages).toBe(true);
    expect(second.sha256).not.toBe(first.sha256);
    expect(fs.readFileSync(second.kernelPath)).toEqual(bzImage(0x91));
  });

  test("another inode under its name, with the same size and time", async () => {
    const { path, first, again } = await known();
    const { atime, mtime } = fs.statSync(path);
    const other = files.file(await store(0x91));
    fs.utimesSync(other, atime, mtime);
    fs.renameSync(other, path);
    expect((await again()).sha256).not.toBe(first.sha256);
  });

  test("touched", async () => {
    const { path, first, again } = await known();
    fs.utimesSync(path, new Date(), new Date(0));
    expect(await again()).toEqual(first);
  });
});

describe("an entry of the cache", () => {
  test.each([
    ["damaged", false],
    ["damaged, its time as it was", true],
  ])("%s: it is written anew", async (_, restored) => {
    const { first, again } = await known();
    for (const path of [first.kernelPath, first.initramfsPath!]) {
      const { atime, mtime } = fs.statSync(path);
      const good = fs.readFileSync(path);
      fs.writeFileSync(path, Buffer.alloc(good.length, 1));
      if (restored) fs.utimesSync(path, atime, mtime);
      expect((await again()).readImages).toBe(true);
      expect(fs.readFileSync(path)).toEqual(good);
    }
    expect((await again()).readImages).toBe(false);
  });

  test.each(["kernelPath", "initramfsPath"] as const)("that is gone comes back: %s", async (part) => {
    const { first, again } = await known();
    fs.rmSync(first[part]!);
    expect(await again()).toEqual(first);
    expect(fs.existsSync(first[part]!)).toBe(true);
  });

  test("touched: it is hashed once and used as it is", async () => {
    const { first, again } = await known();
    const inode = (): number => fs.statSync(first.initramfsPath!).ino;
    const before = inode();
    fs.utimesSync(first.initramfsPath!, new Date(), new Date(0));
    expect((await again()).readImages).toBe(true);
    expect(inode()).toBe(before);
    expect((await again()).readImages).toBe(false);
  });
});

test.each([
  ["empty", ""],
  ["cut", '{"probe":{"start":64,"le'],
  ["null", "null"],
  ["a list", "[]"],
  ["without content", "{}"],
  ["binary", Buffer.alloc(5000, 0xff)],
])("a note that is %s is passed over and mended", async (_, text) => {
  const { cacheDir, first, again } = await known();
  const [note] = recordsIn(cacheDir);
  fs.writeFileSync(note!, text);
  expect(await again()).toEqual(first);
  expect((await again()).readImages).toBe(false);
});

test("a note about another file is passed over", async () => {
  const { cacheDir, first, again } = await known();
  const [note] = recordsIn(cacheDir);
  const other = join(files.dir, "other.rvf");
  fs.writeFileSync(other, await store(0x91));
  await sleep(2100);
  await extract(other, { cacheDir });
  fs.renameSync(
    recordsIn(cacheDir).find((path) => path !== note)!,
    note!,
  );
  expect(await again()).toEqual(first);
});

test("a folder at the note's place: it goes without", async () => {
  const { cacheDir, first, again } = await known();
  const [note] = recordsIn(cacheDir);
  fs.rmSync(note!);
  fs.mkdirSync(join(note!, "inner"), { recursive: true });
  expect(await again()).toEqual(first);
  expect(await again()).toEqual(first);
});

test.each(["770", "707"])("notes that others could have written are not believed (mode %s)", async (mode) => {
  const { cacheDir, first, again } = await known();
  fs.chmodSync(join(cacheDir, "known"), parseInt(mode, 8));
  expect(await again()).toEqual(first);
});

test.each(["770", "707"])("a cache that others may write to is refused (mode %s)", async (mode) => {
  const { cacheDir, again } = await known();
  fs.chmodSync(cacheDir, parseInt(mode, 8));
  await expect(again()).rejects.toMatchObject({
    code: "TempFile",
    hint: expect.stringContaining(`chmod go-w ${cacheDir}`) as string,
  });
});

describe("policy and keys", () => {
  test("what was taken leniently is judged anew", async () => {
    const { path, cacheDir, first, again } = await known();
    expect(first.kernel.warnings).not.toEqual([]);
    for (const verification of ["strict", "signed"] as const) {
      meter.take();
      await expect(extractKernel(path, { cacheDir, verification })).rejects.toMatchObject({
        code: "KernelUntrusted",
      });
      expect(meter.take().bytes).toBeLessThan(FEW_BYTES);
    }
    expect((await again()).kernel.warnings).toEqual(first.kernel.warnings);
  });

  test("other keys are another question", async () => {
    const { cacheDir } = fresh();
    const stranger = generateKeyPair().publicKey;
    const by = (...trustedKeys: string[]) => extract(signedStore, { cacheDir, trustedKeys });
    expect((await by()).kernel.integrity).toContain("not checked");
    const trusted = await by(signer.publicKey);
    expect(trusted).toMatchObject({ readImages: true });
    expect(trusted.kernel.integrity).toContain("by trusted key");
    expect((await by(stranger)).kernel.integrity).toContain("none of the trusted keys");
    expect((await by(signer.publicKey, stranger)).readImages).toBe(true);
    // Their order is none.
    expect((await by(stranger, signer.publicKey)).readImages).toBe(false);

    const signed = { cacheDir, verification: "signed" } as const;
    await expect(extractKernel(signedStore, { ...signed, trustedKeys: [stranger] })).rejects.toMatchObject({
      code: "KernelUntrusted",
    });
    expect(await extract(signedStore, { ...signed, trustedKeys: [signer.publicKey] })).toEqual({
      ...trusted,
      readImages: false,
    });
  });
});
