/**
 * What was found out about this host and takes time to find out again: one small file a finding, in the cache. Memory is a
 * convenience. Whatever is wrong with a file (damaged, unreadable, not writable, another user's), there is none.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { cacheDir } from "../paths.js";

/**
 * How long a finding counts: a day, because hosts change without a trace in any key. Somebody loads a kernel module or
 * switches virtualisation on for a host that is a VM itself, and QEMU takes accelerators from libraries of their own.
 */
export const rememberedMs = 24 * 60 * 60 * 1000;

export interface Finding<Value> {
  value: Value;
  at: Date;
}

export interface Memory<Value> {
  /** Where the findings lie. */
  folder: () => string;
  recall: (key: Promise<Key>) => Promise<Finding<Value> | undefined>;
  remember: (key: Promise<Key>, value: Value) => Promise<void>;
}

/** Everything that a finding depends on. Where it cannot be told, nothing is known and nothing noted down. */
export type Key = readonly string[];

/** The memory for one kind of finding, in a folder of that name below the cache. */
export function memory<Value>(name: string, schema: z.ZodType<Value>): Memory<Value> {
  const stored = z.object({ at: z.iso.datetime(), value: schema });
  const folder = () => join(cacheDir(), name);
  const placeOf = (key: Key) =>
    join(folder(), `${createHash("sha256").update(JSON.stringify(key)).digest("hex")}.json`);
  return {
    folder,
    async recall(key) {
      try {
        const place = placeOf(await key);
        if (!(await isOurs(folder()))) return undefined;
        const { at, value } = stored.parse(JSON.parse(await readFile(place, "utf8")));
        const age = Date.now() - Date.parse(at);
        // One from the future was written before the clock was set back: nobody knows how old it is.
        return age >= 0 && age < rememberedMs ? { value, at: new Date(at) } : undefined;
      } catch {
        return undefined;
      }
    },
    async remember(key, value) {
      try {
        const place = placeOf(await key);
        await mkdir(folder(), { recursive: true, mode: 0o700 });
        const text = JSON.stringify({ at: new Date().toISOString(), value });
        // Not worth a wait for the disk: a file that a power cut leaves empty is none.
        await writeFileAtomic(place, text, { mode: 0o600, fsync: false });
        await removeExpired(folder());
      } catch {
        // It is found out again next time.
      }
    },
  };
}

/** Whoever else may write there could have QEMU started without its sandbox. */
async function isOurs(folder: string): Promise<boolean> {
  const { uid, mode } = await stat(folder);
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}

/** Findings under keys that nobody asks for any more, such as those of an earlier boot, and halves of interrupted writes. */
async function removeExpired(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats && Date.now() - stats.mtimeMs >= rememberedMs) await rm(path, { force: true });
  }
}
