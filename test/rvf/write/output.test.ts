/** What is put in place of nothing, and only that: files that others move or make meanwhile. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { embedKernel, extractToFiles } from "../../../src/rvf/index.js";
import { withSource } from "../../../src/rvf/source.js";
import { writeCopy } from "../../../src/rvf/write/output.js";
import { bzImage, kernel, manifest, rvf, scratch, vec } from "../build.js";

const files = scratch();
const image = files.file(bzImage(), "bzImage");
const folder = (): string => fs.mkdtempSync(join(files.dir, "out-"));

/** A signal that never comes and calls `when` each time it is asked: the writing asks between its steps. */
const asked = (when: () => void): AbortSignal =>
  ({
    get aborted() {
      when();
      return false;
    },
  }) as AbortSignal;

test.each<[string, (path: string) => void]>([
  ["another file", (path) => fs.renameSync(files.file(Buffer.from("another")), path)],
  ["a named pipe", (path) => fs.rmSync(path) ?? execFileSync("mkfifo", [path])],
  ["nothing", (path) => fs.rmSync(path)],
])("where the store was opened stands %s now: refused", async (_, exchange) => {
  const dir = folder();
  const path = files.file(await rvf(vec(), manifest));
  const copied = withSource(path, "rvf", async (source) => {
    exchange(path);
    await writeCopy(source, join(dir, "out"), undefined, () => Promise.resolve());
  });
  await expect(copied).rejects.toMatchObject({
    code: "Io",
    message: expect.stringContaining(`"${path}" was changed while it was being copied`) as string,
  });
  expect(fs.readdirSync(dir)).toEqual([]);
});

test("where the file cannot be copied by its handle, it is copied by reading it", async () => {
  const out = join(folder(), "out");
  const bytes = await rvf(vec(), manifest);
  const platform = Object.getOwnPropertyDescriptor(process, "platform")!;
  Object.defineProperty(process, "platform", { ...platform, value: "darwin" });
  try {
    await withSource(files.file(bytes), "rvf", (source) =>
      writeCopy(source, out, undefined, () => Promise.resolve()),
    );
  } finally {
    Object.defineProperty(process, "platform", platform);
  }
  expect(fs.readFileSync(out)).toEqual(bytes);
});

test("a file that appears at the output while it is written stays as it is", async () => {
  const dir = folder();
  const out = join(dir, "out");
  const signal = asked(() => fs.writeFileSync(out, "mine"));
  const store = files.file(await rvf(vec(), manifest));
  await expect(embedKernel(store, { image, out, signal })).rejects.toMatchObject({
    code: "InvalidArgument",
    message: expect.stringContaining("something at") as string,
  });
  expect(fs.readdirSync(dir)).toEqual(["out"]);
  expect(fs.readFileSync(out, "utf8")).toBe("mine");
});

test("a kernel that cannot be put in place leaves the old one, and the initramfs that belongs to the new", async () => {
  const dir = folder();
  const initramfs = Buffer.concat([Buffer.from("1f8b0800", "hex"), Buffer.alloc(3000, 6)]);
  const store = files.file(
    await rvf(vec(), kernel({ image: Buffer.concat([bzImage(), initramfs]) }), manifest),
  );
  const out = { kernel: join(dir, "kernel"), initramfs: join(dir, "initramfs") };
  const signal = asked(() => fs.mkdirSync(out.kernel, { recursive: true }));
  await expect(extractToFiles(store, { ...out, signal })).rejects.toMatchObject({ code: "Io" });
  expect(fs.readdirSync(dir).sort()).toEqual(["initramfs", "kernel"]);
  expect(fs.statSync(out.kernel).isDirectory()).toBe(true);
  expect(fs.readFileSync(out.initramfs)).toEqual(initramfs);
});
