/** A file that appears under its name when it is complete, or not at all. */
import { randomUUID } from "node:crypto";
import { constants, type BigIntStats } from "node:fs";
import { chmod, copyFile, lstat, open, rename, rm, stat, type FileHandle } from "node:fs/promises";
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
 * Lets `change` work on a copy of the source and then puts it at `out`, where nothing may be yet. Whatever fails, also by
 * the signal, nothing is left behind and the source is as it was.
 */
export async function writeCopy(
  source: Source,
  out: string,
  signal: AbortSignal | undefined,
  change: (copy: Copy) => Promise<void>,
): Promise<void> {
  await refuseExisting(source.path, out);
  // Beside it, so that putting it in place is a rename within one file system.
  const partial = `${out}.${randomUUID()}.partial`;
  try {
    const file = await writing(out, () => openCopy(source, partial));
    try {
      await refuseChanged([wholeOf(source)]);
      stopIfAsked(signal);
      await change({ file, signal });
      await writing(out, () => file.sync());
    } finally {
      await file.close();
    }
    stopIfAsked(signal);
    await writing(out, () => rename(partial, out));
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
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
  // File systems that can share the blocks of the vectors do.
  await copyFile(source.path, partial, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  // A copy of a read-only file is read-only, too.
  await chmod(partial, (await stat(partial)).mode | 0o600);
  return open(partial, "r+");
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
