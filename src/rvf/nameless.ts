/** Room for what is too large for memory and nobody else's business: a file without a name, gone when it is closed. */
import { randomUUID } from "node:crypto";
import { open, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MicroVmError, systemErrorCode } from "../errors.js";
import { sourceOf, type Source } from "./source.js";

/** Writes the pieces out and hands them on; errors of reading name `path`. Throws TempFile where there is no room. */
export async function withNameless<T>(
  path: string,
  pieces: AsyncIterable<Buffer>,
  use: (copy: Source) => Promise<T>,
): Promise<T> {
  const file = await namelessFile();
  try {
    for await (const piece of pieces) await written(file.writeFile(piece));
    return await use(await sourceOf(file, path, "rvf"));
  } finally {
    await file.close();
  }
}

async function namelessFile(): Promise<FileHandle> {
  const path = join(tmpdir(), `microvm-${randomUUID()}`);
  const file = await written(open(path, "wx+", 0o600));
  await rm(path);
  return file;
}

async function written<T>(action: Promise<T>): Promise<T> {
  return await action.catch((error: unknown) => {
    throw new MicroVmError(
      "TempFile",
      `The kernel cannot be put into ${tmpdir()} for a moment (${systemErrorCode(error) ?? String(error)}).`,
      { cause: error, hint: "Free some space there, or set TMPDIR to a directory on another disk." },
    );
  });
}
