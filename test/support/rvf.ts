/** The bootable RVF that tests of real VMs share. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Neighbour } from "../../src/launcher/index.js";
import { makeSampleRvf } from "../../tools/sample-rvf.js";

const cacheDir = fileURLToPath(new URL("../../.cache/test", import.meta.url));
const sampleSource = fileURLToPath(new URL("../../tools/sample-rvf.ts", import.meta.url));

/** The bootable image (kernel and /init) of this machine's set-up. */
export function appliancePath(): string {
  const path = process.env["MICROVM_APPLIANCE"];
  if (path) return path;
  throw new Error(
    "MICROVM_APPLIANCE names no image. `npm test` makes one and sets it; for Jest alone: " +
      "npm run appliance -- --out FILE, then MICROVM_APPLIANCE=FILE npx jest ...",
  );
}

/** A store of 3000 vectors with the appliance in it, made once for each appliance and kept. Not to be written to. */
export async function sampleRvf(): Promise<string> {
  const image = appliancePath();
  const hash = createHash("sha256");
  for (const path of [image, sampleSource]) hash.update(await readFile(path));
  const sample = join(cacheDir, `${hash.digest("hex").slice(0, 32)}.rvf`);
  if (await exists(sample)) return sample;
  await mkdir(cacheDir, { recursive: true });
  // Several test files may want it at the same moment: each makes its own, the last one stays.
  const folder = await mkdtemp(join(cacheDir, "making-"));
  try {
    await makeSampleRvf(join(folder, "sample.rvf"), { image });
    await rename(join(folder, "sample.rvf"), sample);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return sample;
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/** The same vectors at the same distances, but for the last bits: guest and host sum 32-bit floats in another order. */
export function expectNeighbours(answer: Neighbour[], reference: Neighbour[]): void {
  expect(answer.map(({ id }) => id)).toEqual(reference.map(({ id }) => id));
  answer.forEach(({ distance }, i) => expect(distance).toBeCloseTo(reference[i]!.distance, 5));
}
