/** Where images are kept: each under its SHA-256, and small files that name one. */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { cacheDir } from "../paths.js";

export interface Appliance {
  /** The image; lies in the cache under its own SHA-256 and never changes. */
  path: string;
  sha256: string;
  bytes: number;
  /** The kernel's own version, as `uname -r` tells it. */
  kernelVersion: string;
}

/** What a small file says of the image that it names. */
export const entrySchema = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  kernelVersion: z.string(),
});
export type Entry = z.infer<typeof entrySchema>;

/**
 * The appliances' own folder, made where it is not there.
 * @param cache the product's cache folder by default
 */
export async function applianceFolder(cache = cacheDir()): Promise<string> {
  const dir = join(cache, "appliance");
  await mkdir(dir, { recursive: true });
  return dir;
}

export const imagePath = (dir: string, sha256: string): string => join(dir, `${sha256}.img`);

/** The image that the file names, with what else stands there. Undefined when there is nothing intact to be had. */
export async function readEntry<E extends Entry>(
  dir: string,
  file: string,
  schema: z.ZodType<E>,
): Promise<(Appliance & E) | undefined> {
  try {
    const entry = schema.parse(JSON.parse(await readFile(file, "utf8")));
    const path = imagePath(dir, entry.sha256);
    const image = await readFile(path);
    if (createHash("sha256").update(image).digest("hex") !== entry.sha256) return undefined;
    return { ...entry, path, bytes: image.length };
  } catch {
    return undefined;
  }
}

/** Writes a copy of the image, which takes the file's place when it is whole. */
export async function copyImage({ path }: Pick<Appliance, "path">, to: string): Promise<void> {
  const partial = `${to}.${process.pid}.partial`;
  try {
    await copyFile(path, partial);
    await rename(partial, to);
  } finally {
    await rm(partial, { force: true });
  }
}
