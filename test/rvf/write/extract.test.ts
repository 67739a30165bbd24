/** Files of the user's choice: written whole when the kernel is accepted, untouched when it is not. */
import * as fs from "node:fs";
import { join } from "node:path";
import { extractToFiles, inspectRvf } from "../../../src/rvf/index.js";
import { bzImage, kernel, manifest, rvf, scratch, vec, type KernelSpec } from "../build.js";

const files = scratch();
const initramfs = Buffer.concat([Buffer.from("1f8b0800", "hex"), Buffer.alloc(3000, 6)]);
const image = Buffer.concat([bzImage(), initramfs]);
const store = async (spec: KernelSpec = { image }, damage?: (bytes: Buffer) => unknown): Promise<string> =>
  files.file(await rvf(vec(), { ...kernel(spec), ...(damage && { damage }) }, manifest));

/** An empty folder for outputs. */
function outputs() {
  const dir = fs.mkdtempSync(join(files.dir, "out-"));
  return { dir, kernel: join(dir, "kernel"), initramfs: join(dir, "initramfs") };
}

test("both parts are written and the RVF is described", async () => {
  const { dir, ...out } = outputs();
  const path = await store();
  const report = await extractToFiles(path, out);
  expect(report).toEqual({ ...(await inspectRvf(path)), written: out });
  expect(fs.readFileSync(out.kernel)).toEqual(bzImage());
  expect(fs.readFileSync(out.initramfs)).toEqual(initramfs);
  expect(fs.readdirSync(dir).sort()).toEqual(["initramfs", "kernel"]);
});

test("an initramfs that is not asked for is left out of the kernel and of the folder", async () => {
  const { dir, kernel: out } = outputs();
  const { written } = await extractToFiles(await store(), { kernel: out });
  expect(written).toEqual({ kernel: out, initramfs: null });
  expect(fs.readFileSync(out)).toEqual(bzImage());
  expect(fs.readdirSync(dir)).toEqual(["kernel"]);
});

test("an existing output is replaced", async () => {
  const { dir: _, ...out } = outputs();
  for (const path of Object.values(out)) fs.writeFileSync(path, "older and much longer".repeat(10_000));
  await extractToFiles(await store(), out);
  expect(fs.readFileSync(out.kernel)).toEqual(bzImage());
  expect(fs.readFileSync(out.initramfs)).toEqual(initramfs);
});

const flip = (bytes: Buffer): unknown => bytes.writeUInt8(bytes.readUInt8(1500) ^ 1, 1500);

test.each<[string, () => Promise<string>, object, string]>([
  ["a damaged kernel", () => store({ image }, flip), {}, "KernelDamaged"],
  ["a fold under strict", () => store(), { verification: "strict" }, "KernelUntrusted"],
  ["an unsigned one under signed", () => store(), { verification: "signed" }, "KernelUntrusted"],
  ["no initramfs", () => store({}), {}, "InvalidArgument"],
  ["no kernel", async () => files.file(await rvf(vec(), manifest)), {}, "NoKernelSegment"],
  ["no RVF", () => Promise.resolve(files.file(Buffer.from("text"))), {}, "RvfInvalid"],
  ["no file", () => Promise.resolve("/no/such.rvf"), {}, "FileNotFound"],
])("refused, nothing is written and nothing replaced: %s", async (_, make, options, code) => {
  const { dir, ...out } = outputs();
  const path = await make();
  await expect(extractToFiles(path, { ...out, ...options })).rejects.toMatchObject({ code });
  expect(fs.readdirSync(dir)).toEqual([]);

  for (const there of Object.values(out)) fs.writeFileSync(there, "mine");
  await expect(extractToFiles(path, { ...out, ...options })).rejects.toMatchObject({ code });
  expect(fs.readdirSync(dir).sort()).toEqual(["initramfs", "kernel"]);
  for (const there of Object.values(out)) expect(fs.readFileSync(there, "utf8")).toBe("mine");
});

test("stopped in the middle, nothing is left", async () => {
  const { dir, ...out } = outputs();
  const long = Buffer.concat([bzImage(), initramfs, Buffer.alloc(48 << 20)]);
  const stop = new AbortController();
  const watching = fs.watch(dir, () => stop.abort());
  try {
    const stopped = extractToFiles(await store({ image: long, imageHash: Buffer.alloc(32) }), {
      ...out,
      signal: stop.signal,
    });
    await expect(stopped).rejects.toMatchObject({ code: "Cancelled" });
  } finally {
    watching.close();
  }
  expect(fs.readdirSync(dir)).toEqual([]);
});

describe("outputs that are refused", () => {
  const refused = async (path: string, out: { kernel: string; initramfs?: string }, words: string) =>
    await expect(extractToFiles(path, out)).rejects.toMatchObject({
      code: "InvalidArgument",
      message: expect.stringContaining(words) as string,
    });

  test("the RVF itself, also by another name", async () => {
    const path = await store();
    const before = fs.readFileSync(path);
    const link = join(outputs().dir, "link.rvf");
    fs.linkSync(path, link);
    for (const kernel of [path, link]) await refused(path, { kernel }, "is the input itself");
    expect(fs.readFileSync(path)).toEqual(before);
  });

  test("one file for both parts", async () => {
    const { dir, kernel } = outputs();
    await refused(await store(), { kernel, initramfs: `${dir}/./kernel` }, "cannot be both");
    expect(fs.readdirSync(dir)).toEqual([]);
  });

  test.each([
    ["a folder", (path: string) => fs.mkdirSync(path)],
    ["a link", (path: string) => fs.symlinkSync("/dev/null", path)],
  ])("%s", async (_, make) => {
    const { dir, kernel } = outputs();
    make(kernel);
    await refused(await store(), { kernel }, "no regular file");
    expect(fs.readdirSync(dir)).toEqual(["kernel"]);
  });

  test("one in a folder that is not there", async () => {
    const { dir } = outputs();
    await expect(
      extractToFiles(await store(), { kernel: join(dir, "none", "kernel") }),
    ).rejects.toMatchObject({
      code: "Io",
      message: expect.stringContaining("directory does not exist") as string,
    });
  });
});
