import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { extractImage, extractKernel } from "../../../src/rvf/index.js";
import { bzImage, certificate, kernel, manifest, rvf, scratch, vec } from "../build.js";

const files = scratch();
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const mode = (path: string): number => statSync(path).mode & 0o777;
let caches = 0;
const newCache = (): string => join(files.dir, `cache-${caches++}`, "kernels");

const signed = Buffer.concat([bzImage(), certificate(1472)]);
const initramfs = Buffer.concat([Buffer.from("1f8b0800", "hex"), Buffer.alloc(3000, 6)]);
const store = (image: Buffer): Promise<Buffer> => rvf(vec(), kernel({ image, cmdline: "quiet" }), manifest);

test.each([false, true])("a kernel is stored under its SHA-256 (with an initramfs: %s)", async (appended) => {
  const cacheDir = newCache();
  const image = appended ? Buffer.concat([signed, initramfs]) : signed;
  const { kernelPath, initramfsPath, ...rest } = await extractKernel(files.file(await store(image)), {
    cacheDir,
  });
  expect(rest).toMatchObject({
    sha256: sha256(signed),
    kernel: { image: { kind: "bzImage" }, cmdline: "quiet" },
  });
  expect(kernelPath).toBe(join(cacheDir, sha256(signed)));
  expect(readFileSync(kernelPath)).toEqual(signed);
  expect(initramfsPath).toBe(appended ? join(cacheDir, sha256(initramfs)) : undefined);
  if (initramfsPath !== undefined) expect(readFileSync(initramfsPath)).toEqual(initramfs);
  expect(readdirSync(cacheDir)).toHaveLength(appended ? 2 : 1);
  expect([mode(cacheDir), mode(kernelPath)]).toEqual([0o700, 0o600]);
});

test("a plain kernel file is split by the same code", async () => {
  const cacheDir = newCache();
  const result = await extractImage(files.file(Buffer.concat([signed, initramfs])), { cacheDir });
  expect(result).toMatchObject({
    sha256: sha256(signed),
    kernelPath: join(cacheDir, sha256(signed)),
    initramfsPath: join(cacheDir, sha256(initramfs)),
    file: { image: { kind: "bzImage" }, initramfs: { size: initramfs.length, format: "gzip" } },
  });
});

test("an intact entry is used again, a damaged one is written anew", async () => {
  const cacheDir = newCache();
  const path = files.file(await store(signed));
  const { kernelPath } = await extractKernel(path, { cacheDir });
  const { ino } = statSync(kernelPath);
  await extractKernel(path, { cacheDir });
  expect(statSync(kernelPath).ino).toBe(ino);

  for (const damaged of [signed.subarray(1), Buffer.alloc(signed.length)]) {
    writeFileSync(kernelPath, damaged);
    await extractKernel(path, { cacheDir });
    expect(readFileSync(kernelPath)).toEqual(signed);
  }
});

test("several at once end with one whole entry", async () => {
  const cacheDir = newCache();
  const path = files.file(await store(Buffer.concat([bzImage(), Buffer.alloc(3 << 20, 7)])));
  const results = await Promise.all(Array.from({ length: 8 }, () => extractKernel(path, { cacheDir })));
  expect(new Set(results.map(({ kernelPath }) => kernelPath)).size).toBe(1);
  expect(readdirSync(cacheDir)).toEqual([results[0]?.sha256]);
});

test("the default place is the kernel cache", async () => {
  const before = process.env.MICROVM_CACHE_DIR;
  process.env.MICROVM_CACHE_DIR = newCache();
  try {
    const { kernelPath, sha256: name } = await extractKernel(files.file(await store(signed)));
    expect(kernelPath).toBe(join(process.env.MICROVM_CACHE_DIR, "kernels", name));
  } finally {
    if (before === undefined) delete process.env.MICROVM_CACHE_DIR;
    else process.env.MICROVM_CACHE_DIR = before;
  }
});

test("a damaged kernel leaves nothing in the cache", async () => {
  const cacheDir = newCache();
  const damage = (bytes: Buffer): unknown => bytes.writeUInt8(1, 500);
  const path = files.file(await rvf({ ...kernel(), damage }, manifest));
  await expect(extractKernel(path, { cacheDir })).rejects.toMatchObject({ code: "KernelDamaged" });
  expect(readdirSync(cacheDir)).toEqual([]);
});

describe("a cache that cannot be written", () => {
  test("because a file stands in the way", async () => {
    const cacheDir = join(files.file(Buffer.from("a file")), "kernels");
    await expect(extractKernel(files.file(await store(signed)), { cacheDir })).rejects.toMatchObject({
      code: "TempFile",
      message: expect.stringMatching(/not a directory/) as string,
      hint: expect.stringContaining("MICROVM_CACHE_DIR") as string,
    });
  });

  test("because a folder stands at the kernel's name", async () => {
    const cacheDir = newCache();
    mkdirSync(join(cacheDir, sha256(signed), "inner"), { recursive: true });
    await expect(extractKernel(files.file(await store(signed)), { cacheDir })).rejects.toMatchObject({
      code: "KernelExtraction",
    });
    expect(readdirSync(cacheDir)).toEqual([sha256(signed)]);
  });

  // A limit on the size of files stands in for a full disk: the write fails half-way in the same manner.
  test("because it takes no more bytes: no half file stays", async () => {
    const cacheDir = newCache();
    const path = files.file(await store(Buffer.concat([bzImage(), Buffer.alloc(3 << 20, 7)])));
    const index = new URL("../../../src/rvf/index.ts", import.meta.url).pathname;
    const script = join(files.dir, "extract.mts");
    writeFileSync(
      script,
      `import { extractKernel } from ${JSON.stringify(index)};
       const [path, cacheDir] = process.argv.slice(2);
       await extractKernel(path!, { cacheDir: cacheDir! }).then(
         () => console.log("done"), (error) => console.log(error.code + ": " + error.message));`,
    );
    const command = `trap '' XFSZ; ulimit -f 1024; exec "$0" --import tsx "$@"`;
    const { stdout } = await promisify(execFile)(
      "sh",
      ["-c", command, process.execPath, script, path, cacheDir],
      {
        cwd: process.cwd(),
        timeout: 60_000,
      },
    );
    expect(stdout).toMatch(/^KernelExtraction: .*larger than allowed/);
    expect(readdirSync(cacheDir)).toEqual([]);
  }, 60_000);
});

test("a link to an RVF is followed", async () => {
  const link = join(files.dir, "link.rvf");
  symlinkSync(files.file(await store(signed)), link);
  expect((await extractKernel(link, { cacheDir: newCache() })).sha256).toBe(sha256(signed));
});
