/** Files of a real writer of the legacy dialect: the npm package @ruvector/rvf-node. */
import { createRequire } from "node:module";
import { readFileSync, statSync, truncateSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import type { RvfDatabase as Database } from "@ruvector/rvf-node";
import { extractKernel, inspectRvf, readKernel } from "../../../src/rvf/index.js";
import { bzImage, scratch } from "../build.js";

const { RvfDatabase } = createRequire(import.meta.url)("@ruvector/rvf-node") as {
  RvfDatabase: typeof Database;
};
const files = scratch();
let count = 0;

function database(use: (db: Database) => void, options = {}): string {
  const path = join(files.dir, `real-${count++}.rvf`);
  const db = RvfDatabase.create(path, { dimension: 4, ...options });
  try {
    db.ingestBatch(new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]), [1, 2, 3]);
    use(db);
  } finally {
    db.close();
  }
  return path;
}
const embed = (db: Database, image: Buffer, cmdline?: string): number =>
  db.embedKernel(0, 1, 8, image, 9090, cmdline);

test("a store with a kernel", async () => {
  const image = bzImage();
  const path = database((db) => embed(db, image, "console=ttyS0"), { metric: "cosine" });
  expect(await inspectRvf(path)).toMatchObject({
    file: path,
    size: statSync(path).size,
    store: { dialect: "legacy", epoch: 2, dimension: 4, metric: "cosine", vectors: 3 },
    warnings: ["The image hash is a non-cryptographic fold: it shows accidents, not forgery."],
    kernel: {
      segmentId: 5,
      layout: "image-cmdline",
      image: { kind: "bzImage", arch: "x86_64", size: image.length },
      header: { type: "micro_linux", flags: ["HAS_NETWORKING"], apiPort: 9090, apiTransport: "http" },
      cmdline: "console=ttyS0",
    },
    integrity: { segment: "CRC32 matches", image: "fold matches", signature: "absent", verdict: "weak" },
  });
  const { kernelPath } = await extractKernel(path, { cacheDir: join(files.dir, "cache") });
  expect(readFileSync(kernelPath)).toEqual(image);
});

test("a store without a kernel", async () => {
  const path = database(() => undefined);
  expect((await inspectRvf(path)).kernel).toBeNull();
  await expect(readKernel(path)).rejects.toMatchObject({ code: "NoKernelSegment" });
});

test("a new store without anything", async () => {
  const path = join(files.dir, "new.rvf");
  RvfDatabase.create(path, { dimension: 768 }).close();
  expect(await inspectRvf(path)).toMatchObject({
    store: { dimension: 768, vectors: 0, epoch: 0 },
  });
});

test("the later of two kernels is taken", async () => {
  const path = database((db) => {
    embed(db, bzImage(1), "older");
    embed(db, bzImage(2), "newer");
  });
  expect((await readKernel(path)).cmdline).toBe("newer");
});

test("deleting and compacting leave the kernel and the number of live vectors", async () => {
  for (const compact of [false, true]) {
    const path = database((db) => {
      embed(db, bzImage(), "quiet");
      db.delete([2]);
      if (compact) db.compact();
    });
    expect(await inspectRvf(path)).toMatchObject({
      store: { vectors: 2 },
      kernel: { cmdline: "quiet" },
      warnings: [expect.stringMatching(/fold/)],
    });
  }
});

test("a derived store does not inherit the kernel", async () => {
  const child = join(files.dir, "child.rvf");
  database((db) => {
    embed(db, bzImage());
    db.derive(child).close();
  });
  await expect(readKernel(child)).rejects.toMatchObject({ code: "NoKernelSegment" });
});

test("a file cut anywhere behind its first kernel byte never passes for one without a kernel", async () => {
  const path = database((db) => embed(db, bzImage(), "quiet"));
  const size = statSync(path).size;
  const cut = join(files.dir, "cut.rvf");
  for (let length = size - 1; length > 700; length -= 97) {
    copyFileSync(path, cut);
    truncateSync(cut, length);
    await expect(readKernel(cut)).rejects.toMatchObject({ code: "RvfInvalid" });
  }
});
