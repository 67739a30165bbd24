/** Kernels embedded here into stores of the real `rvf` command (wire dialect), whose path is in RVF_CLI_BIN. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  embedKernel,
  extractKernel,
  generateKeyPair,
  inspectRvf,
  readKernel,
} from "../../../src/rvf/index.js";
import { bzImage, scratch } from "../build.js";

const files = scratch();
const { privateKey, publicKey } = generateKeyPair();
let count = 0;
const fresh = (): string => join(files.dir, `${count++}.real`);

const rvf = (...args: string[]): string => {
  const command = process.env.RVF_CLI_BIN;
  if (command === undefined) throw new Error("RVF_CLI_BIN must name the rvf command.");
  return execFileSync(command, args, { encoding: "utf8", timeout: 30_000 });
};

function ingest(path: string, ...ids: number[]): void {
  const vectors = files.file(Buffer.from(JSON.stringify(ids.map((id) => ({ id, vector: [id, 0, 0, 1] })))));
  rvf("ingest", path, "-i", vectors);
}

function store(...ids: number[]): string {
  const path = fresh();
  rvf("create", "-d", "4", path);
  if (ids.length > 0) ingest(path, ...ids);
  return path;
}

const answers = (path: string): unknown => JSON.parse(rvf("query", path, "-v", "2,0,0,1", "--json"));
const image = bzImage(0x21);
const imageFile = files.file(image, "bzImage");

async function expectWhole(path: string, cmdline: string): Promise<void> {
  const found = await extractKernel(path, { cacheDir: join(files.dir, "cache") });
  expect(readFileSync(found.kernelPath)).toEqual(image);
  expect(found.kernel).toMatchObject({ cmdline, header: { arch: "x86_64" } });
}

test.each<[string, () => string]>([
  ["with vectors", () => store(1, 2, 3)],
  ["without vectors", () => store()],
  [
    "with deleted vectors and a witness at the end",
    () => {
      const path = store(1, 2, 3);
      rvf("delete", path, "--ids", "2");
      return path;
    },
  ],
  [
    "after compaction",
    () => {
      const path = store(1, 2, 3);
      rvf("delete", path, "--ids", "2");
      rvf("compact", path);
      return path;
    },
  ],
  [
    "with a kernel of theirs",
    () => {
      const path = store(1, 2, 3);
      rvf("embed-kernel", path, "--prebuilt", "--image-path", files.file(bzImage(9)));
      return path;
    },
  ],
])("a store %s answers as before, hands the kernel out, and is gone on with", async (_, make) => {
  const path = make();
  const before = answers(path);
  for (const key of [undefined, privateKey]) {
    const [once, twice] = [fresh(), fresh()];
    await embedKernel(path, { image: files.file(bzImage(1)), cmdline: "older", out: once });
    await embedKernel(once, { image: imageFile, cmdline: "newer", privateKey: key, out: twice });
    expect(answers(twice)).toEqual(before);
    await expectWhole(twice, "newer");

    ingest(twice, 70, 71);
    expect(answers(twice)).toMatchObject({ count: (before as { count: number }).count + 2 });
    // It fails where the chain of witnesses is broken.
    expect(rvf("verify-witness", twice)).toMatch(/Valid chain segments:\s+(\d+)\/\1\n/);
    await expectWhole(twice, "newer");
    const { integrity } = await inspectRvf(twice, { trustedKeys: [publicKey] });
    expect(integrity).toMatchObject({ verdict: key ? "signed" : "verified" });
  }
  expect(answers(path)).toEqual(before);
});

test("compacting keeps the kernel, but drops the signature behind it: such a kernel is refused, not trusted", async () => {
  for (const key of [undefined, privateKey]) {
    const out = fresh();
    await embedKernel(store(1, 2, 3), { image: imageFile, cmdline: "quiet", privateKey: key, out });
    rvf("delete", out, "--ids", "1");
    rvf("compact", out);
    if (key) await expect(readKernel(out)).rejects.toMatchObject({ code: "KernelUntrusted" });
    else await expectWhole(out, "quiet");
  }
});

test("a kernel that `rvf` embeds afterwards is the newest here", async () => {
  const out = fresh();
  await embedKernel(store(1), { image: files.file(bzImage(1)), out });
  rvf("embed-kernel", out, "--prebuilt", "--image-path", imageFile);
  const { kernelPath } = await extractKernel(out, { cacheDir: join(files.dir, "cache") });
  expect(readFileSync(kernelPath)).toEqual(image);
});
