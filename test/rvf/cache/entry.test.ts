/** Entries of the cache under hard conditions: nobody may write there, processes meet there or die there. */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { extractKernel } from "../../../src/rvf/index.js";
import { bzImage, kernel, manifest, rvf, scratch, vec } from "../build.js";

const files = scratch();
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const newCache = (): string => fs.mkdtempSync(join(files.dir, "cache-"));
const entriesIn = (cacheDir: string): string[] =>
  fs.readdirSync(cacheDir).filter((name) => /^[0-9a-f]{64}$/.test(name));

/** So large that it is written in several pieces. */
const large = Buffer.concat([bzImage(), Buffer.alloc(8 << 20, 7)]);
let small: string;
let largeStore: string;
let script: string;

beforeAll(async () => {
  small = files.file(await rvf(vec(), kernel(), manifest));
  const imageHash = createHash("sha3-256").update(large).digest();
  largeStore = files.file(await rvf(vec(), kernel({ image: large, imageHash }), manifest));
  const index = new URL("../../../src/rvf/index.ts", import.meta.url).pathname;
  script = join(files.dir, "extract.mts");
  fs.writeFileSync(
    script,
    `import { extractKernel } from ${JSON.stringify(index)};
     import { open } from "node:fs/promises";
     const [path, cacheDir, killedAt] = process.argv.slice(2);
     const handle = await open(path!);
     const prototype = Object.getPrototypeOf(handle);
     await handle.close();
     const { writeFile } = prototype;
     let writes = 0;
     prototype.writeFile = function (...args: unknown[]) {
       if (++writes === Number(killedAt)) process.kill(process.pid, "SIGKILL");
       return writeFile.apply(this, args);
     };
     const { sha256 } = await extractKernel(path!, { cacheDir: cacheDir! });
     console.log(sha256);`,
  );
});

/** The process kills itself before its write number `killedAt`. */
const argv = (path: string, cacheDir: string, killedAt = ""): string[] => [
  "--import",
  "tsx",
  script,
  path,
  cacheDir,
  killedAt,
];

describe("a cache where nothing can be written", () => {
  /** Mode bits do not hold the superuser, so the work is done as nobody then. */
  async function readOnly<T>(cacheDir: string, work: () => Promise<T>): Promise<T> {
    fs.chmodSync(files.dir, 0o755);
    for (const name of fs.readdirSync(cacheDir)) fs.chmodSync(join(cacheDir, name), 0o444);
    fs.chmodSync(cacheDir, 0o555);
    const superuser = process.geteuid?.() === 0;
    if (superuser) process.seteuid?.(65_534);
    try {
      return await work();
    } finally {
      if (superuser) process.seteuid?.(0);
      fs.chmodSync(cacheDir, 0o755);
    }
  }

  test("serves what it holds", async () => {
    const cacheDir = newCache();
    const first = await extractKernel(small, { cacheDir });
    expect(await readOnly(cacheDir, () => extractKernel(small, { cacheDir }))).toEqual(first);
  });

  test.each(["nothing", "a damaged entry"])("says so where it holds %s", async (what) => {
    const cacheDir = newCache();
    if (what !== "nothing") {
      const { kernelPath } = await extractKernel(small, { cacheDir });
      fs.writeFileSync(kernelPath, "damaged");
    }
    const before = fs.readdirSync(cacheDir);
    const refused = readOnly(cacheDir, () => extractKernel(small, { cacheDir }));
    await expect(refused).rejects.toMatchObject({
      code: "TempFile",
      message: expect.stringContaining("permission denied") as string,
      hint: expect.stringContaining("MICROVM_CACHE_DIR") as string,
    });
    expect(fs.readdirSync(cacheDir)).toEqual(before);
  });
});

test("partial files that nobody writes any more are removed, young ones are left", async () => {
  const cacheDir = newCache();
  const old = join(cacheDir, "old.partial");
  const young = join(cacheDir, "young.partial");
  for (const path of [old, young]) fs.writeFileSync(path, "half");
  const ago = (minutes: number): Date => new Date(Date.now() - minutes * 60_000);
  fs.utimesSync(old, ago(61), ago(61));
  fs.utimesSync(young, ago(59), ago(59));
  const { sha256: name } = await extractKernel(small, { cacheDir });
  expect(fs.readdirSync(cacheDir).sort()).toEqual([name, "young.partial"].sort());
});

test("two processes at once end with one whole entry", async () => {
  const cacheDir = newCache();
  const run = () => promisify(execFile)(process.execPath, argv(largeStore, cacheDir), { timeout: 60_000 });
  const results = await Promise.all([run(), run()]);
  expect(results.map(({ stdout }) => stdout.trim())).toEqual([sha256(large), sha256(large)]);
  expect(entriesIn(cacheDir)).toEqual([sha256(large)]);
  expect(sha256(fs.readFileSync(join(cacheDir, sha256(large))))).toBe(sha256(large));
  expect(fs.readdirSync(cacheDir).filter((name) => name.endsWith(".partial"))).toEqual([]);
}, 90_000);

test("a process killed in the middle leaves no entry; the next one makes it", async () => {
  const cacheDir = newCache();
  const child = spawn(process.execPath, argv(largeStore, cacheDir, "3"), {
    stdio: "ignore",
    timeout: 60_000,
  });
  const ended = new Promise((resolve) => child.once("exit", (_, signal) => resolve(signal)));
  expect(await ended).toBe("SIGKILL");
  expect(entriesIn(cacheDir)).toEqual([]);
  const [partial] = fs.readdirSync(cacheDir);
  expect(fs.readdirSync(cacheDir)).toEqual([expect.stringMatching(/\.partial$/)]);
  expect(fs.statSync(join(cacheDir, partial!)).size).toBe(1 << 20);

  const { kernelPath } = await extractKernel(largeStore, { cacheDir });
  expect(sha256(fs.readFileSync(kernelPath))).toBe(sha256(large));
}, 90_000);
