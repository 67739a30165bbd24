import { execFileSync } from "node:child_process";
import { appendFile, copyFile, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentFingerprint } from "../../src/launcher/fingerprint.js";

let dir: string;
let rvfPath: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "fingerprint-"));
  rvfPath = join(dir, "db.rvf");
  await writeFile(rvfPath, Buffer.alloc(300_000, 1));
});
afterEach(() => rm(dir, { recursive: true }));

test("a copy or a touched file is the same", async () => {
  const before = await contentFingerprint({ rvfPath });
  expect(before).toMatch(/^[0-9a-f]{64}$/);
  await utimes(rvfPath, 1, 1);
  await copyFile(rvfPath, join(dir, "copy"));
  expect(await contentFingerprint({ rvfPath })).toBe(before);
  expect(await contentFingerprint({ rvfPath: join(dir, "copy") })).toBe(before);
});

test("one byte more is not", async () => {
  const before = await contentFingerprint({ rvfPath });
  await appendFile(rvfPath, "x");
  expect(await contentFingerprint({ rvfPath })).not.toBe(before);
});

test("which file is the kernel and which the initramfs counts", async () => {
  const fingerprints = [
    await contentFingerprint({ rvfPath }),
    await contentFingerprint({ rvfPath, kernelPath: rvfPath }),
    await contentFingerprint({ rvfPath, initramfsPath: rvfPath }),
  ];
  expect(new Set(fingerprints).size).toBe(3);
});

test("a change in the middle of a kernel or an initramfs counts", async () => {
  const before = await contentFingerprint({ rvfPath, kernelPath: rvfPath });
  const middle = Buffer.alloc(300_000, 1).fill(2, 150_000, 150_001);
  await writeFile(join(dir, "kernel"), middle);
  expect(await contentFingerprint({ rvfPath, kernelPath: join(dir, "kernel") })).not.toBe(before);
});

test("a missing file, a folder and a pipe are told, and waited for by nobody", async () => {
  execFileSync("mkfifo", [join(dir, "pipe")]);
  for (const name of ["none", ".", "pipe"]) {
    await expect(contentFingerprint({ rvfPath: join(dir, name) })).rejects.toMatchObject({ code: "Io" });
  }
});
