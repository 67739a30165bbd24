/** Kernels embedded here, read and written on by the npm package @ruvector/rvf-node (legacy dialect). */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { RvfDatabase as Database } from "@ruvector/rvf-node";
import {
  embedKernel,
  extractKernel,
  generateKeyPair,
  inspectRvf,
  signKernel,
} from "../../../src/rvf/index.js";
import { bzImage, scratch } from "../build.js";

const { RvfDatabase } = createRequire(import.meta.url)("@ruvector/rvf-node") as {
  RvfDatabase: typeof Database;
};
const files = scratch();
const { privateKey, publicKey } = generateKeyPair();
let count = 0;
const fresh = (): string => join(files.dir, `${count++}.real`);

function inDatabase<T>(path: string, use: (db: Database) => T, open = RvfDatabase.open.bind(RvfDatabase)): T {
  const db = open(path);
  try {
    return use(db);
  } finally {
    db.close();
  }
}

/** A store of `dimension` with three vectors, on which `use` then works. */
function store(use: (db: Database) => unknown = () => undefined, dimension = 4, vectors = 3): string {
  const path = fresh();
  RvfDatabase.create(path, { dimension }).close();
  inDatabase(path, (db) => {
    for (let id = 1; id <= vectors; id++) db.ingestBatch(new Float32Array(dimension).fill(id), [id]);
    use(db);
  });
  return path;
}

const answers = (path: string, dimension = 4) =>
  inDatabase(
    path,
    (db) => db.query(new Float32Array(dimension).fill(1.2), 10),
    RvfDatabase.openReadonly.bind(RvfDatabase),
  );
const kernelIn = (path: string): string | undefined =>
  inDatabase(path, (db) => db.extractKernel()?.image.toString("latin1"));

const image = bzImage(0x21);
const imageFile = files.file(image, "bzImage");

async function expectWhole(path: string, cmdline: string): Promise<void> {
  // They hand out the command line as the image's end.
  expect(kernelIn(path)).toBe(image.toString("latin1") + cmdline);
  const found = await extractKernel(path, { cacheDir: join(files.dir, "cache") });
  expect(readFileSync(found.kernelPath)).toEqual(image);
  expect(found.kernel).toMatchObject({ cmdline, header: { arch: "x86_64" } });
}

test.each<[string, number, () => string]>([
  ["with vectors", 4, () => store()],
  ["without vectors", 4, () => store(undefined, 4, 0)],
  ["of dimension 768", 768, () => store(undefined, 768)],
  ["with deleted vectors", 4, () => store((db) => db.delete([2]))],
  [
    "after compaction",
    4,
    () =>
      store((db) => {
        db.delete([2]);
        db.compact();
      }),
  ],
  ["with a kernel of theirs", 4, () => store((db) => db.embedKernel(0, 1, 8, bzImage(9), 1, "theirs"))],
])("a store %s answers as before and hands the kernel out", async (_, dimension, make) => {
  const path = make();
  const before = answers(path, dimension);
  for (const key of [undefined, privateKey]) {
    const out = fresh();
    await embedKernel(path, { image: imageFile, cmdline: "console=hvc0", privateKey: key, out });
    expect(answers(out, dimension)).toEqual(before);
    await expectWhole(out, "console=hvc0");
  }
  expect(answers(path, dimension)).toEqual(before);
});

test.each([
  ["plain", undefined],
  ["signed", privateKey],
])("they go on writing behind it: %s", async (_, key) => {
  const out = fresh();
  await embedKernel(store(), { image: imageFile, cmdline: "quiet", privateKey: key, out });
  inDatabase(out, (db) => {
    db.ingestBatch(new Float32Array([9, 9, 9, 9]), [99]);
    db.delete([1]);
  });
  expect(answers(out).map(({ id }) => id)).toEqual([2, 3, 99]);
  await expectWhole(out, "quiet");
  expect(await inspectRvf(out)).toMatchObject({ store: { vectors: 3 } });
});

test("the newer of two kernels is theirs, too", async () => {
  const [once, twice] = [fresh(), fresh()];
  await embedKernel(store(), { image: files.file(bzImage(1)), cmdline: "older", out: once });
  await embedKernel(once, { image: imageFile, cmdline: "newer", out: twice });
  await expectWhole(twice, "newer");
});

test("a signed copy is the same to them, and trusted here", async () => {
  const path = store((db) => db.embedKernel(0, 1, 8, image, 9090, "theirs"));
  const out = fresh();
  await signKernel(path, { privateKey, out });
  expect(answers(out)).toEqual(answers(path));
  await expectWhole(out, "theirs");
  const { integrity } = await inspectRvf(out, { trustedKeys: [publicKey] });
  expect(integrity).toMatchObject({ signature: "valid", verdict: "signed" });
});
