/** The fingerprint that states and records hold which were written before each file had one of its own. */
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { unreadable } from "../host/unreadable.js";
import type { FilePaths } from "../spec.js";

const sampleBytes = 64 * 1024;

/** Hex SHA-256 over all three: the RVF's length and ends, and the others whole. Throws FileNotFound, or Io when one cannot be read. */
export async function formerFingerprint(spec: FilePaths): Promise<string> {
  const hash = createHash("sha256");
  await addFile(hash, spec.rvfPath, "sample");
  await addFile(hash, spec.kernelPath, "whole");
  await addFile(hash, spec.initramfsPath, "whole");
  return hash.digest("hex");
}

async function addFile(hash: Hash, path: string | undefined, how: "sample" | "whole"): Promise<void> {
  if (path === undefined) return void hash.update("none;");
  try {
    // A named pipe would otherwise be waited for.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error("it is not a regular file");
    hash.update(`${stats.size};`);
    const tail = stats.size - sampleBytes;
    if (how === "whole" || tail <= sampleBytes) {
      for await (const piece of file.createReadStream({ autoClose: false })) hash.update(piece as Buffer);
      return;
    }
    for (const start of [0, tail]) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(sampleBytes), 0, sampleBytes, start);
      hash.update(buffer.subarray(0, bytesRead));
    }
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
