/** Gives random access to a kernel's image, whether it is stored as it is or compressed. */
import { randomUUID } from "node:crypto";
import { open, rm, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MicroVmError, systemErrorCode } from "../../errors.js";
import type { KernelHeader } from "../format/kernel.js";
import type { KernelLayout } from "../format/layout.js";
import { sourceOf, type ByteRange, type Source } from "../source.js";
import { decompressZstd } from "./zstd.js";

export interface Image {
  source: Source;
  range: ByteRange;
}

/** Hands the image to `use`. A compressed one is written out to a file without a name, which is gone afterwards. */
export async function withImage<T>(
  source: Source,
  { compression, imageSize }: KernelHeader,
  { image }: KernelLayout,
  use: (image: Image) => Promise<T>,
): Promise<T> {
  if (compression === "none") return await use({ source, range: image });
  const file = await namelessFile();
  try {
    for await (const piece of decompressZstd(source, image, imageSize)) await written(file.writeFile(piece));
    return await use({
      source: await sourceOf(file, source.path, "rvf"),
      range: { start: 0, length: imageSize },
    });
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
      `The kernel cannot be decompressed into ${tmpdir()} (${systemErrorCode(error) ?? String(error)}).`,
      { cause: error, hint: "Free some space there, or set TMPDIR to a directory on another disk." },
    );
  });
}
