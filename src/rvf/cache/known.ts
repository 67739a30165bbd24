/**
 * What is known of files that were read before, so that a second launch need not read the image again. A file counts as
 * the same by its identity: device, inode, size, times of its data and of its inode, and the kernel's header bytes.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import type { PartDigest } from "../examine.js";
import type { ByteRange, Source } from "../source.js";
import { isIntact } from "./entry.js";

/** Part of every key. To be raised whenever what is stored or what is checked changes: older findings then count no more. */
const FORMAT = 1;
/** A file that changed so recently may change again without its times showing it: FAT has them in steps of 2 s. */
const SETTLED_MS = 2000;

/** An entry of the cache, and how its file looked when its bytes were last hashed. */
interface Entry extends PartDigest {
  stamp: string;
}

export interface Known<Facts> {
  facts: Facts;
  kernelPath: string;
  initramfsPath?: string;
}

interface Stored<Facts> {
  /** Bytes that must still be the same: the headers of what was read. */
  probe: ByteRange & { hex: string };
  facts: Facts;
  kernel: Entry;
  initramfs?: Entry;
}

/** What a lookup depends on besides the file itself, for example which keys were trusted. */
export type Circumstances = readonly string[];

/** Undefined where nothing is known, or anything differs. Never throws: then the file is read as if for the first time. */
export async function recall<Facts>(
  source: Source,
  cacheDir: string,
  circumstances: Circumstances,
): Promise<Known<Facts> | undefined> {
  try {
    if (!(await isOurs(cacheDir)) || !(await isOurs(folderOf(cacheDir)))) return undefined;
    const path = placeOf(source, cacheDir, circumstances);
    const stored = JSON.parse(await readFile(path, "utf8")) as Stored<Facts>;
    const { probe, facts, kernel, initramfs } = stored;
    if ((await source.at(probe.start, probe.length)).toString("hex") !== probe.hex) return undefined;
    const entries = [kernel, ...(initramfs ? [initramfs] : [])];
    const stamps = await Promise.all(entries.map((entry) => stampIfIntact(cacheDir, entry)));
    if (stamps.includes(undefined)) return undefined;
    if (entries.some((entry, index) => entry.stamp !== stamps[index])) {
      entries.forEach((entry, index) => (entry.stamp = stamps[index] ?? ""));
      await write(path, stored);
    }
    return {
      facts,
      kernelPath: join(cacheDir, kernel.sha256),
      ...(initramfs && { initramfsPath: join(cacheDir, initramfs.sha256) }),
    };
  } catch {
    return undefined;
  }
}

/** Notes down what was read, for next time. A cache that cannot take it is no error. */
export async function remember<Facts>(
  source: Source,
  cacheDir: string,
  circumstances: Circumstances,
  {
    probe,
    facts,
    kernel,
    initramfs,
  }: Omit<Stored<Facts>, "probe" | "kernel" | "initramfs"> & {
    probe: ByteRange;
    kernel: PartDigest;
    initramfs?: PartDigest;
  },
): Promise<void> {
  try {
    if (source.identity.openedMs - source.identity.changedMs < SETTLED_MS || !(await isOurs(cacheDir)))
      return;
    const stamped = async (part: PartDigest): Promise<Entry> => ({
      ...part,
      stamp: await stampOf(join(cacheDir, part.sha256)),
    });
    const hex = (await source.at(probe.start, probe.length)).toString("hex");
    await write(placeOf(source, cacheDir, circumstances), {
      probe: { ...probe, hex },
      facts,
      kernel: await stamped(kernel),
      ...(initramfs && { initramfs: await stamped(initramfs) }),
    });
  } catch {
    // It is read again next time.
  }
}

const folderOf = (cacheDir: string): string => join(cacheDir, "known");

function placeOf({ identity }: Source, cacheDir: string, circumstances: Circumstances): string {
  const key = createHash("sha256").update(JSON.stringify([FORMAT, identity.key, ...circumstances]));
  return join(folderOf(cacheDir), `${key.digest("hex")}.json`);
}

/** Whoever else could write there could make us boot what they like. */
async function isOurs(folder: string): Promise<boolean> {
  const { uid, mode } = await stat(folder);
  return uid === process.getuid?.() && (mode & 0o022) === 0;
}

async function write(path: string, stored: Stored<unknown>): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
  await writeFileAtomic(path, JSON.stringify(stored), { mode: 0o600 });
}

/** The entry's present stamp, if its file is as it was or hashes to its name. */
async function stampIfIntact(cacheDir: string, entry: Entry): Promise<string | undefined> {
  const path = join(cacheDir, entry.sha256);
  const stamp = await stampOf(path);
  return stamp === entry.stamp || (await isIntact(path, entry)) ? stamp : undefined;
}

async function stampOf(path: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [ino, size, mtimeNs, ctimeNs].join(":");
}
