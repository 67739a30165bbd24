/** Makes the RVF that the demo and the tests boot: vectors by a real writer, @ruvector/rvf-node, and a kernel by ours. */
import { rename, rm } from "node:fs/promises";
import rvf from "@ruvector/rvf-node";
import type { Neighbour } from "../src/client/index.js";
import { embedKernel } from "../src/rvf/index.js";

export interface SampleOptions {
  /** A bootable image to embed; without one the RVF carries no kernel. */
  image?: string | undefined;
  /** @default 3000 */
  count?: number;
  /** @default 32 */
  dimension?: number;
  /** The embedded kernel's own command line. */
  cmdline?: string;
}

/** Writes a store of evenly distributed vectors with the ids 1, 2, ..., the same for the same options. */
export async function makeSampleRvf(path: string, options: SampleOptions = {}): Promise<void> {
  const { image, count = 3000, dimension = 32, cmdline } = options;
  // The writer refuses to overwrite, and keeps its lock and manifest beside the file.
  await rm(path, { force: true });
  const store = rvf.RvfDatabase.create(path, { dimension });
  try {
    const ids = Array.from({ length: count }, (_, i) => i + 1);
    store.ingestBatch(Float32Array.from(randomNumbers(1, count * dimension)), ids);
  } finally {
    store.close();
  }
  if (image === undefined) return;
  const plain = `${path}.plain`;
  await rename(path, plain);
  await embedKernel(plain, { image, cmdline, out: path });
  await rm(plain);
}

/** A query vector that is none of the store's own. */
export const sampleQuery = (seed: number, dimension = 32): number[] => [
  ...randomNumbers(1000 + seed, dimension),
];

/** Every vector passes it. With a filter the library scans, where it would else build an index first, for seconds or minutes, that is not exact. */
const filter = JSON.stringify({
  op: "not",
  child: { op: "eq", fieldId: 0, valueType: "string", value: "" },
});

/** The neighbours that the writer's own library finds in the file by an exact scan: the reference for what a guest answers. */
export const neighboursOnHost = (path: string, vector: number[], k: number): Neighbour[] =>
  neighboursOfEach(path, [vector], k)[0]!;

/** For several vectors in one go: the file is read once. */
export function neighboursOfEach(path: string, vectors: number[][], k: number): Neighbour[][] {
  const store = rvf.RvfDatabase.openReadonly(path);
  try {
    return vectors.map((vector) =>
      store.query(Float32Array.from(vector), k, { filter }).map(({ id, distance }) => ({ id, distance })),
    );
  } finally {
    store.close();
  }
}

/** Single-precision numbers in [0, 1) from a linear congruential generator (the constants of C11's example). */
function* randomNumbers(seed: number, count: number): Generator<number> {
  let state = seed >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    yield Math.fround((state >>> 8) / 2 ** 24);
  }
}
