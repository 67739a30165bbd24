/**
 * The saved states in the cache, a folder each: the guest's memory, what else QEMU knows of the VM, and a description. They hold memory, so
 * they are this user's alone. One that is removed is still there for the VMs that went on from it: they have its memory open.
 */
import { createHash } from "node:crypto";
import { lstat, mkdir, open, readdir, readFile, rename, rm, stat, statfs, utimes } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { MicroVmError, systemErrorCode } from "../../errors.js";
import { cacheDir } from "../../paths.js";
import { drop, hold, holderOf } from "../record/holder.js";
import type { WarmKey } from "./key.js";
import { stampOf } from "../host/stamp.js";

/** What all of them may take of the disk; those that were not used for longest go first. */
export const LIMIT_BYTES = 4 * 1024 ** 3;

/** What is left free on the disk beside a new one. */
const SPARE_BYTES = 64 * 1024 ** 2;

const descriptionSchema = z.object({
  format: z.literal(1),
  savedAt: z.iso.datetime(),
  rvfPath: z.string(),
  memoryMb: z.int(),
  vcpus: z.int(),
  qemuVersion: z.string(),
  sources: z.record(z.string(), z.string()),
  memoryStamp: z.string(),
  stateStamp: z.string(),
  stateSha256: z.string(),
});

type Description = z.infer<typeof descriptionSchema>;

/** What is told of a VM that is saved. */
export type SavedVm = Pick<Description, "rvfPath" | "memoryMb" | "vcpus" | "qemuVersion">;

export interface SavedState extends SavedVm {
  /** 64 hexadecimal digits. */
  key: string;
  /** What it takes of the disk. */
  bytes: number;
  savedAt: string;
  usedAt: string;
  /** Why no VM can go on from it any more; undefined where one can. */
  useless?: string | undefined;
}

const warmDir = (): string => join(cacheDir(), "warm");
const isKey = (name: string): boolean => /^[0-9a-f]{64}$/.test(name);
const savingPrefix = "saving.";

/** The files of one, in its folder. */
export const stateFiles = (dir: string) => ({
  memory: join(dir, "memory"),
  state: join(dir, "state"),
  description: join(dir, "description.json"),
});

export type StateFiles = ReturnType<typeof stateFiles>;

/** The files to go on from, or why they are of no use; undefined where there are none. */
export async function recallState(
  key: string,
): Promise<{ files: StateFiles } | { useless: string } | undefined> {
  const dir = join(warmDir(), key);
  const files = stateFiles(dir);
  try {
    const found = await lstat(dir);
    if (found.uid !== process.getuid?.() || (found.mode & 0o077) !== 0)
      return { useless: "it is open to other users" };
    const description = await describedIn(files);
    if ((await stampOf(files.memory)) !== description.memoryStamp)
      return { useless: "its memory was changed" };
    const state = await readFile(files.state);
    if (sha256(state) !== description.stateSha256 || (await stampOf(files.state)) !== description.stateStamp)
      return { useless: "it was changed" };
    const now = new Date();
    await utimes(files.description, now, now);
    return { files };
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" && !(await exists(dir))) return undefined;
    return { useless: "it is damaged" };
  }
}

export async function discardState(key: string): Promise<void> {
  await rm(join(warmDir(), key), { recursive: true, force: true });
}

/** A place in which a VM is saved, which is gone after that unless it was kept. */
export interface SavingPlace extends AsyncDisposable {
  files: StateFiles;
  /** Makes it the saved state of the key, once no QEMU writes to it any more. Another process may have been first. */
  keep: (key: WarmKey, vm: SavedVm) => Promise<void>;
}

/** Throws Io where it cannot be made, or the disk has no room. */
export async function placeToSave(memoryMb: number): Promise<SavingPlace> {
  await removeInterrupted();
  const bytes = memoryMb * 1024 * 1024;
  const holder = hold();
  const dir = join(warmDir(), `${savingPrefix}${holder.replaceAll(" ", ".")}`);
  const files = stateFiles(dir);
  try {
    await mkdir(warmDir(), { recursive: true, mode: 0o700 });
    const { bavail, bsize } = await statfs(warmDir());
    if (bavail * bsize < bytes + SPARE_BYTES) throw new Error("the disk has no room for it");
    await mkdir(dir, { mode: 0o700 });
    // QEMU would make it readable for others.
    await using memory = await open(files.memory, "wx", 0o600);
    await memory.truncate(bytes);
  } catch (cause) {
    await rm(dir, { recursive: true, force: true }).catch(() => {});
    drop(holder);
    throw new MicroVmError("Io", `no state can be saved in ${warmDir()}: ${(cause as Error).message}`, {
      cause,
    });
  }
  return {
    files,
    async keep({ key, sources }, vm) {
      const description: Description = {
        format: 1,
        savedAt: new Date().toISOString(),
        ...vm,
        sources,
        memoryStamp: await stampOf(files.memory),
        stateStamp: await stampOf(files.state),
        stateSha256: sha256(await readFile(files.state)),
      };
      await writeFileAtomic(files.description, JSON.stringify(description, null, 2), { mode: 0o600 });
      await rename(dir, join(warmDir(), key)).catch((error: unknown) => {
        if (!["ENOTEMPTY", "EEXIST"].includes(systemErrorCode(error) ?? "")) throw error;
      });
      await makeRoom(LIMIT_BYTES);
    },
    async [Symbol.asyncDispose]() {
      await rm(dir, { recursive: true, force: true });
      drop(holder);
    },
  };
}

/** All of them, the one that was used last first. */
export async function listStates(): Promise<SavedState[]> {
  const names = await readdir(warmDir()).catch(() => []);
  const states = await Promise.all(names.filter(isKey).map(stateOf));
  return states.sort((a, b) => b.usedAt.localeCompare(a.usedAt));
}

/** Removes those whose keys begin so. Throws InvalidArgument where none does. */
export async function removeStates(keys: readonly string[]): Promise<SavedState[]> {
  const states = await listStates();
  const unknown = keys.find((key) => key === "" || !states.some((state) => state.key.startsWith(key)));
  if (unknown !== undefined)
    throw new MicroVmError("InvalidArgument", `there is no saved state ${JSON.stringify(unknown)}`, {
      hint: "`microvm cache ls` lists those there are.",
    });
  const removed = states.filter((state) => keys.some((key) => state.key.startsWith(key)));
  for (const { key } of removed) await discardState(key);
  return removed;
}

/** Removes those that are of no use any more, and what interrupted launches left. */
export async function pruneStates(): Promise<SavedState[]> {
  await removeInterrupted();
  const removed = (await listStates()).filter(({ useless }) => useless !== undefined);
  for (const { key } of removed) await discardState(key);
  return [...removed, ...(await makeRoom(LIMIT_BYTES))];
}

/** Removes those that were not used for longest, until the rest is within the limit; the one that was used last stays. */
export async function makeRoom(limitBytes: number): Promise<SavedState[]> {
  const [newest, ...others] = await listStates();
  let bytes = newest?.bytes ?? 0;
  const doomed = others.filter((state) => (bytes += state.bytes) > limitBytes);
  for (const { key } of doomed) await discardState(key);
  return doomed;
}

async function stateOf(key: string): Promise<SavedState> {
  const files = stateFiles(join(warmDir(), key));
  const sizes = await Promise.all([files.memory, files.state].map(bytesOnDisk));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  try {
    const { rvfPath, memoryMb, vcpus, qemuVersion, savedAt, ...stamps } = await describedIn(files);
    const usedAt = (await stat(files.description)).mtime.toISOString();
    const useless = await uselessness(files, stamps);
    return { key, rvfPath, memoryMb, vcpus, qemuVersion, bytes, savedAt, usedAt, useless };
  } catch {
    const unknown = { rvfPath: "", memoryMb: 0, vcpus: 0, qemuVersion: "", savedAt: "", usedAt: "" };
    return { key, ...unknown, bytes, useless: "it is damaged" };
  }
}

async function uselessness(
  files: StateFiles,
  { sources, memoryStamp, stateStamp }: Pick<Description, "sources" | "memoryStamp" | "stateStamp">,
): Promise<string | undefined> {
  const stamps = { ...sources, [files.memory]: memoryStamp, [files.state]: stateStamp };
  for (const [path, stamp] of Object.entries(stamps))
    if ((await stampOf(path).catch(() => "")) !== stamp) return `${path} was changed`;
  return undefined;
}

async function removeInterrupted(): Promise<void> {
  const names = (await readdir(warmDir()).catch(() => [])).filter((name) => name.startsWith(savingPrefix));
  for (const name of names) {
    const holder = name.slice(savingPrefix.length).replaceAll(".", " ");
    if (!holderOf(holder)) await rm(join(warmDir(), name), { recursive: true, force: true });
  }
}

const describedIn = async ({ description }: StateFiles): Promise<Description> =>
  descriptionSchema.parse(JSON.parse(await readFile(description, "utf8")));

const bytesOnDisk = (path: string): Promise<number> =>
  stat(path).then(
    ({ blocks }) => blocks * 512,
    () => 0,
  );

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const sha256 = (data: Buffer): string => createHash("sha256").update(data).digest("hex");
