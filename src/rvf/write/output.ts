/** A file that appears under its name when it is complete, or not at all. */
import { randomUUID } from "node:crypto";
import { constants, type BigIntStats } from "node:fs";
import {
  chmod,
  copyFile,
  link,
  lstat,
  open,
  rename,
  rm,
  stat,
  writeFile,
  type FileHandle,
} from "node:fs/promises";
import { MicroVmError, systemErrorCode } from "../../errors.js";
import { writeReasons } from "../reasons.js";
import type { Source } from "../source.js";
import { refuseChanged, wholeOf } from "./pieces.js";

/** A copy of the store that is being added to. */
export interface Copy {
  file: FileHandle;
  signal?: AbortSignal | undefined;
}

/**
 * Lets `change` work on a copy of the source and then puts it at `out`, where nothing may be yet; returns what that does. Whatever fails, also by
 * the signal, nothing is left behind and the source is as it was.
 */
export async function writeCopy<T>(
  source: Source,
  out: string,
  signal: AbortSignal | undefined,
  change: (copy: Copy) => Promise<T>,
): Promise<T> {
  await refuseExisting(source.path, out);
  // Beside it, so that it can be put in place within one file system.
  const partial = `${out}.${randomUUID()}.partial`;
  try {
    const file = await writing(out, () => openCopy(source, partial));
    let result: T;
    try {
      await refuseChanged([wholeOf(source)]);
      stopIfAsked(signal);
      result = await change({ file, signal });
      await writing(out, () => file.sync());
    } finally {
      await file.close();
    }
    stopIfAsked(signal);
    await writing(out, () => putNew(source.path, partial, out));
    return result;
  } finally {
    await rm(partial, { force: true }).catch(() => undefined);
  }
}

const noHardLinks: readonly (string | undefined)[] = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/** A rename would replace what has appeared at `out` since; a hard link does not. */
async function putNew(input: string, partial: string, out: string): Promise<void> {
  try {
    await link(partial, out);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code !== "EEXIST" && !noHardLinks.includes(code)) throw error;
    await refuseExisting(input, out);
    // File systems like FAT have no hard links: there what appears from here on is replaced.
    await rename(partial, out);
  }
}

/** Ends the work once the signal has come. */
export function stopIfAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted)
    throw new MicroVmError("Cancelled", "The writing was stopped; nothing was left behind.", {
      cause: signal.reason,
    });
}

async function openCopy(source: Source, partial: string): Promise<FileHandle> {
  const from = await openAgain(source);
  try {
    // By the handle, as another file may come to stand at the path. File systems that can share the vectors' blocks do.
    if (process.platform === "linux")
      await copyFile(
        `/proc/self/fd/${from.fd}`,
        partial,
        constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE,
      );
    else await writeFile(partial, source.stream({ start: 0, length: source.size }), { flag: "wx" });
    // A copy of a read-only file is read-only, too.
    await chmod(partial, (await from.stat()).mode | 0o600);
  } finally {
    await from.close();
  }
  return open(partial, "r+");
}

/** Opens the file that was read. What stands at its path now may be another one, even a FIFO: never wait for that. */
async function openAgain({ path, identity }: Source): Promise<FileHandle> {
  const other = (cause?: unknown): MicroVmError =>
    new MicroVmError("Io", `"${path}" was changed while it was being copied: it is another file now.`, {
      cause,
      hint: "Try again when nothing writes to it.",
    });
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw other(error);
  });
  const { dev, ino } = await file.stat({ bigint: true });
  if (identity.key.startsWith(`${dev}:${ino}:`)) return file;
  await file.close();
  throw other();
}

async function refuseExisting(input: string, out: string): Promise<void> {
  const there = await statsOf(out, lstat);
  if (!there) return;
  const target = await statsOf(out, stat);
  const from = await statsOf(input, stat);
  if (target && target.dev === from?.dev && target.ino === from.ino)
    throw new MicroVmError("InvalidArgument", `"${out}" is the input itself, which is never changed.`, {
      hint: "Name another file for the output.",
    });
  throw new MicroVmError("InvalidArgument", `There is something at "${out}" already.`, {
    hint: "Name another file for the output, or remove that one first.",
  });
}

type StatOf = (path: string, options: { bigint: true }) => Promise<BigIntStats>;

async function statsOf(path: string, read: StatOf): Promise<BigIntStats | undefined> {
  try {
    return await read(path, { bigint: true });
  } catch {
    return undefined; // Nothing there, or unreachable: then writing says why.
  }
}

const reasonFor = (code: string): string =>
  code === "ENOENT" ? "its directory does not exist" : (writeReasons[code] ?? code);

/** Tells what a failed system call means for the output; errors of the sources pass as they are. */
export async function writing<T>(out: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const code = systemErrorCode(error);
    if (error instanceof MicroVmError || code === undefined) throw error;
    throw new MicroVmError("Io", `"${out}" cannot be written: ${reasonFor(code)}.`, {
      cause: error,
      hint: "Name a file in a directory where you may write and where there is room for it.",
    });
  }
}
