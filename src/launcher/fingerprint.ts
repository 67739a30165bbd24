/** Tells whether the files behind a spec's paths changed, without reading them whole. */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { VmSpec } from "./spec.js";

/** An RVF only grows, and each change appends a manifest: its end tells all. Kernels say in their head what they are. */
const sampleBytes = 64 * 1024;

/** Hex SHA-256 over size, head and tail of each file; a copy or a touched file has the same. Throws the system's error. */
export async function contentFingerprint(
  spec: Pick<VmSpec, "rvfPath" | "kernelPath" | "initramfsPath">,
): Promise<string> {
  const hash = createHash("sha256");
  for (const path of [spec.rvfPath, spec.kernelPath, spec.initramfsPath]) {
    hash.update(path === undefined ? "none;" : await sample(path));
  }
  return hash.digest("hex");
}

async function sample(path: string): Promise<Buffer> {
  await using file = await open(path, "r");
  const { size } = await file.stat();
  const part = async (position: number) => {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(sampleBytes), 0, sampleBytes, position);
    return buffer.subarray(0, bytesRead);
  };
  return Buffer.concat([Buffer.from(`${size};`), await part(0), await part(Math.max(0, size - sampleBytes))]);
}
