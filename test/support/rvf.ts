/** The RVFs that tests of real VMs share. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import rvf from "@ruvector/rvf-node";
import type { Neighbour } from "../../src/launcher/index.js";
import { makeSampleRvf, type SampleOptions } from "../../tools/sample-rvf.js";

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

/** A store of 3000 vectors with the appliance in it. */
export const sampleRvf = async (): Promise<string> => await madeOnce("sample", {});

/** One with the appliance as the format's own library embeds it: its hash of the image proves nothing. */
export async function writeWeakRvf(path: string): Promise<void> {
  await makeSampleRvf(path);
  const store = rvf.RvfDatabase.open(path);
  try {
    store.embedKernel(0, 1, 0, await readFile(appliancePath()), 8080);
  } finally {
    store.close();
  }
}

/**
 * One whose guest never gets ready and never ends by itself: without an init in its initramfs the kernel looks for a
 * root file system, and `rootwait` has it wait for that disk for ever. Nobody listens for the power button.
 */
export const stuckRvf = async (): Promise<string> =>
  await madeOnce("stuck", { count: 10, cmdline: "rdinit=/none root=/dev/none rootwait" });

/** Makes the store once for each appliance and keeps it. Not to be written to. */
async function madeOnce(name: string, options: SampleOptions): Promise<string> {
  const image = appliancePath();
  const hash = createHash("sha256").update(JSON.stringify(options));
  for (const path of [image, sampleSource]) hash.update(await readFile(path));
  const made = join(cacheDir, `${name}-${hash.digest("hex").slice(0, 32)}.rvf`);
  if (await exists(made)) return made;
  await mkdir(cacheDir, { recursive: true });
  // Several test files may want it at the same moment: each makes its own, the last one stays.
  const folder = await mkdtemp(join(cacheDir, "making-"));
  try {
    await makeSampleRvf(join(folder, "made.rvf"), { image, ...options });
    await rename(join(folder, "made.rvf"), made);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return made;
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
