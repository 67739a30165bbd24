/** Copies kernels and initramfs images out of a file into a cache where each stands under its SHA-256. */
import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { MicroVmError, systemErrorCode, type ErrorCode } from "../../errors.js";
import { hashRange, sha256 } from "../hash.js";
import type { ImageParts } from "../image/identify.js";
import { withSource, type ByteRange, type Source } from "../source.js";

export interface Extracted {
  kernelPath: string;
  initramfsPath?: string;
  /** SHA-256 of the kernel file, hex. */
  sha256: string;
}

/** Stores the parts of an image; throws TempFile or KernelExtraction and then leaves no half file behind. */
export async function storeParts(source: Source, parts: ImageParts, cacheDir: string): Promise<Extracted> {
  await attempt("TempFile", `The cache directory "${cacheDir}" cannot be made`, () =>
    mkdir(cacheDir, { recursive: true, mode: 0o700 }),
  );
  const kernel = await storeRange(source, parts.kernel, cacheDir);
  const initramfs = parts.initramfs && (await storeRange(source, parts.initramfs, cacheDir));
  if (await source.changed()) throw changedMeanwhile(source);
  return {
    kernelPath: kernel.path,
    sha256: kernel.sha256,
    ...(initramfs && { initramfsPath: initramfs.path }),
  };
}

async function storeRange(
  source: Source,
  range: ByteRange,
  cacheDir: string,
): Promise<{ path: string; sha256: string }> {
  const digest = (await digestOf(source, range)).toString("hex");
  const path = join(cacheDir, digest);
  if (!(await holds(path, range.length, digest))) await writeWhole(source, range, path, digest);
  return { path, sha256: digest };
}

const digestOf = async (source: Source, range: ByteRange): Promise<Buffer> =>
  (await hashRange(source, range, { digest: sha256() })).digest;

/** Whether the cache's entry is what its name says. Hashing it costs less than booting a damaged kernel. */
async function holds(path: string, length: number, digest: string): Promise<boolean> {
  try {
    return await withSource(path, "image", async (entry) => {
      if (entry.size !== length) return false;
      return (await digestOf(entry, { start: 0, length })).toString("hex") === digest;
    });
  } catch {
    return false; // Missing or unreadable: it is written anew.
  }
}

/** The name `path` appears with all its bytes on disk or not at all, also when several processes write it at once. */
async function writeWhole(source: Source, range: ByteRange, path: string, digest: string): Promise<void> {
  const partial = `${path}.${randomUUID()}.partial`;
  const file = await attempt("TempFile", `The file "${partial}" cannot be made`, () =>
    open(partial, "wx", 0o600),
  );
  try {
    const written = await copyInto(file, source, range);
    if (written !== digest) throw changedMeanwhile(source);
    await attempt("KernelExtraction", `The file "${path}" cannot be put in place`, () =>
      rename(partial, path),
    );
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** Copies the range, waits until it is on disk, and gives the SHA-256 of what was written. */
async function copyInto(file: FileHandle, source: Source, range: ByteRange): Promise<string> {
  const hasher = sha256();
  const write = (action: () => Promise<void>): Promise<void> =>
    attempt("KernelExtraction", "The kernel cannot be written to the cache", action);
  try {
    for await (const piece of source.stream(range)) {
      hasher.update(piece);
      await write(() => file.writeFile(piece));
    }
    await write(() => file.sync());
  } finally {
    await file.close();
  }
  return hasher.digest().toString("hex");
}

const changedMeanwhile = (source: Source): MicroVmError =>
  new MicroVmError("KernelExtraction", `"${source.path}" was changed while it was being read.`);

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the file system is read-only",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EFBIG: "the file would be larger than allowed",
  ENOTDIR: "a part of its path is not a directory",
  // What Node says of making a folder on a read-only file system.
  ENOENT: "nothing can be made there; the file system may be read-only",
  EEXIST: "something else is at its place",
};

async function attempt<T>(code: ErrorCode, what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const system = systemErrorCode(error);
    const reason = (system && reasons[system]) ?? String(error);
    throw new MicroVmError(code, `${what}: ${reason}.`, {
      cause: error,
      hint: "Free some space, or set MICROVM_CACHE_DIR to a directory on another disk.",
    });
  }
}
