import { execFileSync } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { contentFingerprint, fingerprintsOf, hasContent } from "../../../src/launcher/plan/fingerprint.js";
import { formerFingerprint } from "../../../src/launcher/plan/former-fingerprint.js";
import { manifest, rvf, vec } from "../../rvf/build.js";

let dir: string;
let rvfPath: string;
let kernelPath: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "fingerprint-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
  rvfPath = join(dir, "db.rvf");
  kernelPath = join(dir, "kernel");
  await writeFile(rvfPath, await rvf(vec(), manifest));
  await writeFile(kernelPath, Buffer.alloc(300_000, 1));
});
afterEach(() => rm(dir, { recursive: true }));

test("each file has its own, so that a diff shows which one changed", async () => {
  const initramfsPath = join(dir, "initramfs");
  await writeFile(initramfsPath, "cpio");
  const before = await fingerprintsOf({ rvfPath, kernelPath, initramfsPath });
  expect(before).toEqual({
    rvfFingerprint: expect.stringMatching(/^\d+ bytes, segments [0-9a-f]{32}$/) as string,
    kernelFingerprint: expect.stringMatching(/^300000 bytes, sha256 [0-9a-f]{64}$/) as string,
    initramfsFingerprint: expect.stringMatching(/^4 bytes, sha256 [0-9a-f]{64}$/) as string,
  });
  await writeFile(initramfsPath, "gzip");
  const { initramfsFingerprint, ...others } = await fingerprintsOf({ rvfPath, kernelPath, initramfsPath });
  expect(before).toMatchObject(others);
  expect(initramfsFingerprint).not.toBe(before.initramfsFingerprint);
});

test("a copy or a touched kernel is the same; one byte in its middle is another", async () => {
  const before = await fingerprintsOf({ kernelPath });
  await utimes(kernelPath, 1, 1);
  await copyFile(kernelPath, join(dir, "copy"));
  expect(await fingerprintsOf({ kernelPath })).toEqual(before);
  expect(await fingerprintsOf({ kernelPath: join(dir, "copy") })).toEqual(before);
  await writeFile(kernelPath, Buffer.alloc(300_000, 1).fill(2, 150_000, 150_001));
  expect(await fingerprintsOf({ kernelPath })).not.toEqual(before);
});

/** What this process has read so far, from files of any kind. */
const bytesRead = async () => Number(/^rchar: (\d+)$/m.exec(await readFile("/proc/self/io", "utf8"))![1]);

test("a kernel that nobody touched is read once, and again when somebody did", async () => {
  await writeFile(kernelPath, Buffer.alloc(8 << 20, 1));
  const costs: number[] = [];
  const take = async () => {
    const before = await bytesRead();
    const taken = await fingerprintsOf({ kernelPath });
    costs.push((await bytesRead()) - before);
    return taken;
  };
  // Its times do not tell changes apart that follow so soon.
  await sleep(2100);
  const first = await take();
  expect(await take()).toEqual(first);
  await writeFile(kernelPath, Buffer.alloc(8 << 20, 2));
  expect(await take()).not.toEqual(first);
  expect(costs.map((bytes) => bytes > 8 << 20)).toEqual([true, false, true]);
});

test("a record's fingerprint holds for the files as they were, also one that an earlier version took", async () => {
  const paths = { rvfPath, kernelPath };
  const taken = [await contentFingerprint(paths), await formerFingerprint(paths)];
  expect(taken[1]).toMatch(/^[0-9a-f]{64}$/);
  for (const fingerprint of taken) expect(await hasContent(paths, fingerprint)).toBe(true);
  await writeFile(kernelPath, Buffer.alloc(300_000, 3));
  for (const fingerprint of taken) expect(await hasContent(paths, fingerprint)).toBe(false);
});

test("a missing file, a folder and a pipe are told, and waited for by nobody", async () => {
  execFileSync("mkfifo", [join(dir, "pipe")]);
  for (const name of ["none", ".", "pipe"]) {
    const error = { code: name === "none" ? "FileNotFound" : "Io", property: "initramfsPath" };
    await expect(fingerprintsOf({ initramfsPath: join(dir, name) })).rejects.toMatchObject(error);
  }
});
