/** The entries of the cache: kernels and initramfs images, each under its SHA-256, whole or not there. */
import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { MicroVmError, systemErrorCode, type ErrorCode } from "../../errors.js";
import { readPart, type PartDigest, type Sink } from "../examine.js";
import { writeReasons } from "../reasons.js";
import { withSource } from "../source.js";

/** An entry that is being written: nobody sees it under its name before all of its bytes are on disk. */
export interface Draft {
  write: Sink;
  /** Puts it in place, unless an intact entry stands there. Gives its path. */
  keep(digest: PartDigest): Promise<string>;
  drop(): Promise<void>;
}

const PARTIAL = ".partial";
/** A process that was killed leaves its partial file; nobody writes one for so long. */
const ABANDONED_MS = 60 * 60 * 1000;

/** Throws TempFile where the cache cannot be written. */
export async function startDraft(cacheDir: string): Promise<Draft> {
  const partial = join(cacheDir, `${randomUUID()}${PARTIAL}`);
  await attempt("TempFile", `The cache directory "${cacheDir}" cannot be made`, () =>
    mkdir(cacheDir, { recursive: true, mode: 0o700 }),
  );
  await removeAbandoned(cacheDir);
  const file = await attempt("TempFile", `The file "${partial}" cannot be made`, () =>
    open(partial, "wx", 0o600),
  );
  return draft(file, partial, cacheDir);
}

function draft(file: FileHandle, partial: string, cacheDir: string): Draft {
  let isOpen = true;
  let flushing: Promise<unknown> | undefined;
  let failure: unknown;
  const drop = async (): Promise<void> => {
    await flushing;
    if (isOpen) await file.close();
    isOpen = false;
    await rm(partial, { force: true }).catch(() => undefined);
  };
  const writing = <T>(action: () => Promise<T>): Promise<T> =>
    attempt("KernelExtraction", "The kernel cannot be written to the cache", action);
  return {
    async write(piece) {
      await writing(() => file.writeFile(piece));
      // The disk begins while the rest is hashed. It tells of a failure once only, so that is kept.
      flushing ??= file
        .datasync()
        .catch((error: unknown) => (failure ??= error))
        .then(() => (flushing = undefined));
    },
    drop,
    async keep(digest) {
      const path = join(cacheDir, digest.sha256);
      if (await isIntact(path, digest)) {
        await drop();
        return path;
      }
      await flushing;
      await writing(async () => {
        if (failure) throw failure as Error;
        await file.sync();
      });
      await attempt("KernelExtraction", `The file "${path}" cannot be put in place`, () =>
        rename(partial, path),
      );
      await drop();
      return path;
    },
  };
}

/** Whether the cache's entry is what its name says. Hashing it costs less than booting a damaged kernel. */
export async function isIntact(path: string, { size, sha256 }: PartDigest): Promise<boolean> {
  try {
    return await withSource(path, "image", async (entry) => {
      if (entry.size !== size) return false;
      return (await readPart(entry, { start: 0, length: size })).sha256 === sha256;
    });
  } catch {
    return false; // Missing or unreadable: it is written anew.
  }
}

/** Of an entry, or of what is known of one (write-file-atomic's). */
const isPartial = (name: string): boolean => name.endsWith(PARTIAL) || /\.json\.\d+$/.test(name);

async function removeAbandoned(cacheDir: string): Promise<void> {
  const names = await readdir(cacheDir, { recursive: true }).catch(() => []);
  for (const name of names.filter(isPartial)) {
    const path = join(cacheDir, name);
    const stats = await stat(path).catch(() => undefined);
    if (stats && Date.now() - stats.mtimeMs > ABANDONED_MS)
      await rm(path, { force: true }).catch(() => undefined);
  }
}

const reasons: Readonly<Record<string, string>> = {
  ...writeReasons,
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
