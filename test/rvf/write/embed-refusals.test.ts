/** What `embedKernel` refuses or fails at: it says why, and leaves nothing behind. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { embedKernel, type EmbedOptions } from "../../../src/rvf/index.js";
import { bzImage, elf, manifest, rvf, scratch, vec } from "../build.js";

const files = scratch();
const within = (name: string): string => join(files.dir, name);
const image = files.file(bzImage(), "bzImage");
const truncatedFile = (name: string, bytes: number): string => {
  const path = files.file(bzImage(), name);
  fs.truncateSync(path, bytes);
  return path;
};

const store = files.file(await rvf(vec(), manifest), "store.rvf");
const cpio = files.file(Buffer.from("070701"), "cpio");
const elfImage = files.file(elf(), "elf");
fs.symlinkSync(store, join(files.dir, "link.rvf"));
fs.linkSync(store, join(files.dir, "hard.rvf"));
fs.symlinkSync(join(files.dir, "nowhere"), join(files.dir, "dangling"));
execFileSync("mkfifo", [join(files.dir, "fifo")]);

test.each<[string, Partial<EmbedOptions>, string]>([
  ["an output that is the input", { out: store }, "is the input itself"],
  ["an output that is a link to the input", { out: within("link.rvf") }, "is the input itself"],
  ["an output that is a hard link of the input", { out: within("hard.rvf") }, "is the input itself"],
  ["an output that is there", { out: image }, "something at"],
  ["an output that is a dangling link", { out: within("dangling") }, "something at"],
  ["an image that is a directory", { image: files.dir }, "a directory"],
  ["an image that is a FIFO", { image: within("fifo") }, "a named pipe"],
  ["an empty image", { image: files.file(Buffer.alloc(0)) }, "is empty"],
  ["an image beyond 256 MiB", { image: truncatedFile("huge", 256 * 2 ** 20 + 1) }, "268435457 bytes"],
  [
    "an image of no known kind",
    { image: files.file(Buffer.alloc(99, 1)) },
    "does not tell which architecture",
  ],
  ["an architecture the image contradicts", { arch: "aarch64" }, "is for x86_64, not for aarch64"],
  ["an initramfs behind an ELF", { image: elfImage, initramfs: cpio }, "of kind elf-pvh"],
  ["an initramfs of no known format", { initramfs: elfImage }, "no initramfs of a known format"],
  ["an empty initramfs", { initramfs: files.file(Buffer.alloc(0)) }, "is empty"],
  [
    "a second initramfs",
    { image: files.file(Buffer.concat([bzImage(), Buffer.from("070701")])), initramfs: cpio },
    "there is one already (cpio)",
  ],
  [
    "an initramfs behind a cut bzImage",
    { image: truncatedFile("cut", 1500), initramfs: cpio },
    "says it has",
  ],
  ["a command line with a newline", { cmdline: "a\nb" }, "a newline at byte 1"],
  ["a command line too long", { cmdline: "x".repeat(2048) }, "has 2048 bytes"],
  ["a port out of range", { apiPort: 65536 }, "apiPort is 65536"],
  ["memory out of range", { minMemoryMb: -1 }, "minMemoryMb is -1"],
  ["half a MiB", { minMemoryMb: 0.5 }, "minMemoryMb is 0.5"],
  ["a key that is none", { privateKey: "secret" }, "no Ed25519 private key"],
])("refuses %s", async (_, options, words) => {
  const there = fs.readdirSync(files.dir).sort();
  await expect(embedKernel(store, { image, out: within("never"), ...options })).rejects.toMatchObject({
    code: "InvalidArgument",
    message: expect.stringContaining(words) as string,
  });
  expect(fs.readdirSync(files.dir).sort()).toEqual(there);
});

test("an image that is not there", async () =>
  expect(embedKernel(store, { image: within("none"), out: within("never") })).rejects.toMatchObject({
    code: "FileNotFound",
    message: `There is no file at "${within("none")}".`,
  }));

const root = Buffer.alloc(4096);
root.write("0MVR", 0, "latin1");
const whole = await rvf(vec(), manifest);

test.each([
  ["no file at all", within("none.rvf"), "FileNotFound", "no file at"],
  ["no RVF", image, "RvfInvalid", "not an RVF"],
  [
    "a store cut short",
    files.file((await rvf(vec(), manifest, vec(200))).subarray(0, -90)),
    "RvfInvalid",
    "not intact",
  ],
  ["a change that was lost", files.file(await rvf(vec(), manifest, vec())), "RvfInvalid", "not intact"],
  ["garbage at the end", files.file(Buffer.concat([whole, Buffer.alloc(70, 9)])), "RvfInvalid", "not intact"],
  ["a signed store", files.file(Buffer.concat([whole, root])), "InvalidArgument", "is a signed store"],
  [
    "an epoch that is the last",
    files.file(await rvf(vec(), { manifest: { epoch: 2 ** 32 - 1 } })),
    "RvfInvalid",
    "epochs",
  ],
  [
    "an id that is the last",
    files.file(await rvf({ ...vec(), id: 2n ** 64n - 1n }, manifest)),
    "RvfInvalid",
    "segment ids",
  ],
])("refuses a store: %s", async (_, path, code, words) => {
  const there = fs.readdirSync(files.dir).sort();
  await expect(embedKernel(path, { image, out: within("never") })).rejects.toMatchObject({
    code,
    message: expect.stringContaining(words) as string,
  });
  expect(fs.readdirSync(files.dir).sort()).toEqual(there);
});

test.each([
  ["a missing directory", join(files.dir, "no", "such", "out"), "its directory does not exist"],
  ["a file for a directory", join(image, "out"), "not a directory"],
  ["a directory where nobody may write", "/sys/out.rvf", "cannot be written"],
  ["a name too long", within("x".repeat(250)), "too long"],
])("says why an output cannot be written: %s", async (_, out, words) => {
  await expect(embedKernel(store, { image, out })).rejects.toMatchObject({
    code: "Io",
    message: expect.stringContaining(words) as string,
  });
});

test("a stop in the middle of the copy leaves nothing", async () => {
  const long = truncatedFile("long", 128 * 2 ** 20);
  const there = fs.readdirSync(files.dir).sort();
  const stop = new AbortController();
  const run = embedKernel(store, { image: long, out: within("never"), signal: stop.signal });
  const watch = setInterval(() => {
    if (fs.readdirSync(files.dir).some((name) => name.endsWith(".partial"))) stop.abort();
  }, 1);
  await expect(run).rejects.toMatchObject({ code: "Cancelled" });
  clearInterval(watch);
  expect(fs.readdirSync(files.dir).sort()).toEqual(there);
});
