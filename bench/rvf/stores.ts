/** The RVF files that are read. They are made once by the peer itself and kept for the next run. */
import { createHash } from "node:crypto";
import { copyFile, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { RvfDatabase } from "@ruvector/rvf-node";
import { exists, makeOnce } from "../../tools/setup/cache.js";
import { fromRepository } from "../../tools/setup/repository.js";

const DIMENSION = 128;
/** Every store grows by batches of at most this size: a larger one has more segments too. */
const BATCH = 100_000;
/** Changes when anything here changes what is in the files. */
const REVISION = 3;

/** How many vectors the stores have. */
export const sizes = [10_000, 100_000, 300_000, 1_000_000] as const;
export type Size = (typeof sizes)[number];

/** The one of which there is another with SHA3-256 as the image hash in its kernel's header, instead of the writer's own fold. */
const SHA3_OF: Size = 100_000;

export interface Stores {
  /** The paths by size. */
  plain: Record<Size, string>;
  sha3: string;
}

/** Throws what the file system or the writer throws. */
export async function ensureStores(
  image: Buffer,
  writerVersion: string,
  say: (line: string) => void,
): Promise<Stores> {
  const folder = fromRepository(`.cache/bench/rvf-${writerVersion}-${REVISION}`);
  const inFolder = (root: string): Stores => ({
    plain: Object.fromEntries(sizes.map((size) => [size, join(root, `${size}.rvf`)])) as Stores["plain"],
    sha3: join(root, `${SHA3_OF}-sha3.rvf`),
  });
  if (!(await exists(folder))) {
    say("Making the RVF files, once; they take 820 MB in .cache/bench ...");
    await makeOnce(folder, async (partial) => {
      const { plain, sha3 } = inFolder(partial);
      for (const size of sizes) makeStore(plain[size], size, image);
      await copyFile(plain[SHA3_OF], sha3);
      await setSha3(sha3, image);
    });
  }
  const stores = inFolder(folder);
  await settle([...Object.values(stores.plain), stores.sha3]);
  return stores;
}

function makeStore(path: string, count: number, image: Buffer): void {
  const store = RvfDatabase.create(path, { dimension: DIMENSION });
  const batch = Math.min(BATCH, count);
  const vectors = new Float32Array(batch * DIMENSION);
  let state = 1;
  for (let first = 0; first < count; first += batch) {
    for (let at = 0; at < vectors.length; at++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      vectors[at] = state / 2 ** 32;
    }
    store.ingestBatch(
      vectors,
      Array.from({ length: batch }, (_, index) => first + index),
    );
  }
  store.embedKernel(0, 1, 0, image, 8080, "console=ttyS0 panic=-1");
  store.close();
}

/** Puts a real hash into the kernel's header, at byte 0x30 of the payload, and makes the segment's own hash fit again. */
async function setSha3(path: string, image: Buffer): Promise<void> {
  const store = RvfDatabase.openReadonly(path);
  const segment = store.segments().find(({ segType }) => segType === "kernel")!;
  store.close();
  const start = segment.offset + 64;
  const file = await open(path, "r+");
  try {
    await file.write(createHash("sha3-256").update(image).digest(), 0, 32, start + 0x30);
    const payload = Buffer.alloc(segment.payloadLength);
    await file.read(payload, 0, payload.length, start);
    await file.write(rotations(crc32(payload)), 0, 16, segment.offset + 0x28);
  } finally {
    await file.close();
  }
}

/** The writer's checksum: CRC-32 rotated left by 0, 8, 16 and 24 bits, little-endian. */
function rotations(crc: number): Buffer {
  const hash = Buffer.alloc(16);
  for (const [word, bits] of [0, 8, 16, 24].entries())
    hash.writeUInt32LE(bits === 0 ? crc : ((crc << bits) | (crc >>> (32 - bits))) >>> 0, 4 * word);
  return hash;
}

/** A file that was only just written could still be changing: no cache remembers it. Users' files are seldom that young. */
async function settle(paths: string[]): Promise<void> {
  for (const path of paths) {
    const age = Date.now() - (await stat(path)).ctimeMs;
    if (age < 5000) await sleep(5000 - Math.max(0, age));
  }
}
