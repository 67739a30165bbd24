/** The appliance that `kernel: "appliance"` boots: one for the guest's sources as this package has them. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import { buildAppliance, type BuildApplianceOptions, type BuiltAppliance } from "./build.js";
import { applianceFolder, entrySchema, readEntry, type Appliance } from "./cache.js";
import { guestSourceHash } from "./init.js";
import { kernelSourceHash } from "./micro-kernel.js";

const choiceSchema = entrySchema.extend({
  /** Where a prebuilt one came from: a file or a URL. */
  from: z.string().optional(),
  /** Whether it is another than would be built unasked. */
  special: z.boolean(),
});

export type Choice = z.infer<typeof choiceSchema>;
export type CurrentAppliance = Appliance & Choice;

/** Over everything of ours that goes into one: the package's next version may bring others. */
async function sourcesHash(): Promise<string> {
  const hashes = await Promise.all([guestSourceHash(), kernelSourceHash()]);
  return createHash("sha256").update(hashes.join()).digest("hex");
}

const choicePath = async (dir: string): Promise<string> => join(dir, `current-${await sourcesHash()}.json`);

/** The one in the cache; undefined where none was made or got yet, or it is damaged. */
export async function currentAppliance(cacheDir?: string): Promise<CurrentAppliance | undefined> {
  const dir = await applianceFolder(cacheDir);
  return await readEntry(dir, await choicePath(dir), choiceSchema);
}

/** Makes an image of the cache the current one. */
export async function chooseAppliance(choice: Choice, cacheDir?: string): Promise<void> {
  const { sha256, kernelVersion, special, from } = choice;
  const path = await choicePath(await applianceFolder(cacheDir));
  await writeFileAtomic(path, JSON.stringify({ sha256, kernelVersion, special, from }));
}

/**
 * Tells whether another one would be booted than before, in words and digits. It is the same before the appliance is built and after,
 * so that building it is no change.
 */
export async function applianceFingerprint(): Promise<string> {
  const current = await currentAppliance();
  return current?.special
    ? `appliance, sha256 ${current.sha256}`
    : `appliance of sources ${await sourcesHash()}`;
}

export interface MadeAppliance extends BuiltAppliance {
  /** Why it is not the micro kernel that was built, where nobody asked for another. */
  instead?: string;
}

/**
 * Builds it. With `kernel` that one, which becomes the current one; without, the micro kernel or, where that cannot be built, the packaged
 * one, which becomes it where there is none.
 * @throws MicroVmError as `buildAppliance` does
 */
export async function makeAppliance(options: BuildApplianceOptions = {}): Promise<MadeAppliance> {
  const { kernel, cacheDir } = options;
  const made: MadeAppliance = await (kernel ? buildAppliance(options) : buildEither(options));
  if (kernel !== undefined || (await currentAppliance(cacheDir)) === undefined)
    await chooseAppliance({ ...made, special: kernel === "debian" }, cacheDir);
  return made;
}

async function buildEither(options: BuildApplianceOptions): Promise<MadeAppliance> {
  try {
    return await buildAppliance({ ...options, kernel: "micro" });
  } catch (error) {
    if (!(error instanceof MicroVmError) || error.code !== "ApplianceBuild") throw error;
    const instead = error.message.split("\n", 1)[0]!;
    options.onProgress?.(`the packaged kernel instead: ${instead}`);
    return { ...(await buildAppliance({ ...options, kernel: "debian" })), instead };
  }
}

let building: Promise<unknown> = Promise.resolve();

/** The current one, built first where there is none: by one caller of this process, for whom the others wait. */
export async function ensureAppliance(
  options: BuildApplianceOptions = {},
): Promise<Appliance & Pick<Choice, "from">> {
  const work = building.then(async () => {
    options.signal?.throwIfAborted();
    const current = await currentAppliance(options.cacheDir);
    return current ?? { from: undefined, ...(await makeAppliance(options)) };
  });
  building = work.catch(() => undefined);
  // Whoever waits for another's build may be called off.
  const over = new AbortController();
  const calledOff = new Promise<never>((_, reject) => {
    const { signal } = options;
    signal?.addEventListener("abort", () => reject(signal.reason as Error), { signal: over.signal });
  });
  try {
    return await Promise.race([work, calledOff]);
  } finally {
    over.abort();
  }
}
