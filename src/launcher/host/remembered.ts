/**
 * What was found out about a file, mostly a QEMU binary, and takes time to find out again: one small file for each, in the cache.
 * Memory is a convenience. Whatever is wrong with a file (damaged, unreadable, not writable, another user's), nothing is known.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { cacheDir } from "../../paths.js";
import { stampOf } from "./stamp.js";

/**
 * How long a finding counts: a day, because hosts change without a trace. Somebody loads a kernel module or switches
 * virtualisation on for a host that is a VM itself, and QEMU takes accelerators from libraries of their own.
 */
export const rememberedMs = 24 * 60 * 60 * 1000;

/** The folder of one kind of findings. Whoever removes it makes them all forgotten. */
export const memoryFolder = (kind: string): string => join(cacheDir(), kind);

export interface Memory<Value> {
  /** What is known of this binary under the same circumstances, and since when. */
  recall: (binary: string, ...circumstances: string[]) => Promise<{ value: Value; at: Date } | undefined>;
  /** Replaces what was known of this binary. */
  remember: (value: Value, binary: string, ...circumstances: string[]) => Promise<void>;
}

/** The memory for findings of one kind. It never throws. */
export function memory<Value>(kind: string, schema: z.ZodType<Value>): Memory<Value> {
  const stored = z.object({ at: z.iso.datetime(), of: z.array(z.string()), value: schema });
  const fileOf = (path: string) =>
    join(memoryFolder(kind), `${createHash("sha256").update(path).digest("hex")}.json`);
  return {
    async recall(binary, ...circumstances) {
      try {
        if (!(await isOurs(memoryFolder(kind)))) return undefined;
        const path = await realpath(binary);
        const { at, of, value } = stored.parse(JSON.parse(await readFile(fileOf(path), "utf8")));
        const age = Date.now() - Date.parse(at);
        // One from the future was written before the clock was set back: nobody knows how old it is.
        if (age < 0 || age >= rememberedMs) return undefined;
        const now = [await stampOf(path), ...circumstances];
        return JSON.stringify(of) === JSON.stringify(now) ? { value, at: new Date(at) } : undefined;
      } catch {
        return undefined;
      }
    },
    async remember(value, binary, ...circumstances) {
      try {
        const path = await realpath(binary);
        const of = [await stampOf(path), ...circumstances];
        await mkdir(memoryFolder(kind), { recursive: true, mode: 0o700 });
        const text = JSON.stringify({ at: new Date().toISOString(), of, value });
        // Not worth a wait for the disk: a file that a power cut leaves empty is a damaged one.
        await writeFileAtomic(fileOf(path), text, { mode: 0o600, fsync: false });
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
