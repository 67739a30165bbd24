/**
 * Reads RVF files: what a store holds, the kernel it carries, and that kernel's bytes copied out. A file is never
 * loaded whole and its vectors are never read; nothing here knows of QEMU or Pulumi.
 */
import { MicroVmError, type ErrorCode } from "../errors.js";
import { kernelCacheDir } from "../paths.js";
import { storeParts, type Extracted } from "./cache/extract.js";
import { identifyImage, type Arch, type ImageKind, type ImageParts } from "./image/identify.js";
import { json64, locateKernel, noKernel } from "./report.js";
import type { Json64, KernelReport, LocatedKernel, ReadOptions } from "./report.js";
import { typeName } from "./format/segment.js";
import { withSource, type Source } from "./source.js";
import { openStore, type Store } from "./format/store.js";

export type { Extracted } from "./cache/extract.js";
export type { Arch, ImageKind } from "./image/identify.js";
export type { Json64, KernelReport, ReadOptions } from "./report.js";

/** What an RVF holds, as JSON-able data. */
export interface RvfReport {
  fileBytes: number;
  dialect: Store["dialect"];
  epoch: number;
  dimension: number;
  metric: string;
  /** Vectors a query can find. */
  vectorCount: Json64;
  /** How many segments of each type the newest manifest names. */
  segments: Record<string, number>;
  kernel?: KernelReport;
  /** Why there is a kernel segment but no `kernel`. */
  kernelError?: { code: ErrorCode; message: string };
  warnings: string[];
}

export interface ImageReport {
  imageKind: ImageKind;
  arch: Arch;
  /** The file's size, an appended initramfs included. */
  imageBytes: number;
  initramfs?: { bytes: number; format: string };
  warnings: string[];
}

export interface ExtractOptions {
  /**
   * Where the extracted files are kept.
   * @default kernelCacheDir()
   */
  cacheDir?: string;
}

/**
 * Describes a whole RVF. A kernel that cannot be used is told in `kernelError`, so that the rest can still be seen.
 * Throws RvfNotFound, RvfInvalid or Io.
 */
export function inspectRvf(path: string, options: ReadOptions = {}): Promise<RvfReport> {
  return withSource(path, "rvf", async (source) => {
    const store = await openStore(source);
    const { manifest } = store;
    const live = manifest.totalVectors - BigInt(manifest.deletedVectors);
    return {
      fileBytes: source.size,
      dialect: store.dialect,
      epoch: manifest.epoch,
      dimension: manifest.dimension,
      metric: manifest.metric,
      vectorCount: json64(live > 0n ? live : 0n),
      segments: countByType(manifest.directory.map(({ type }) => typeName(type))),
      ...(await kernelOrError(source, store, options)),
      warnings: store.warnings,
    };
  });
}

/**
 * The newest kernel of an RVF, hashed in passing. Throws RvfNotFound, RvfInvalid, NoKernelSegment, KernelUnsupported,
 * KernelDamaged or Io.
 */
export function readKernel(path: string, options: ReadOptions = {}): Promise<KernelReport> {
  return withSource(path, "rvf", async (source) => (await requireKernel(source, options)).report);
}

/**
 * Verifies the newest kernel and copies it, and an initramfs appended to it, into the cache. Throws as `readKernel`
 * does, and TempFile or KernelExtraction where the cache cannot be written.
 */
export function extractKernel(
  path: string,
  { cacheDir = kernelCacheDir() }: ExtractOptions = {},
): Promise<Extracted & { report: KernelReport }> {
  return withSource(path, "rvf", async (source) => {
    const { report, parts } = await requireKernel(source, {});
    return { ...(await storeParts(source, parts, cacheDir)), report };
  });
}

/** What a plain kernel file is. Throws InvalidArgument if it is missing or no regular file, Io if it is unreadable. */
export function inspectImage(path: string): Promise<ImageReport> {
  return withSource(path, "image", async (source) => imageReport(source, await partsOf(source)));
}

/** Copies a plain kernel file, and an initramfs appended to it, into the cache as `extractKernel` does. */
export function extractImage(
  path: string,
  { cacheDir = kernelCacheDir() }: ExtractOptions = {},
): Promise<Extracted & { report: ImageReport }> {
  return withSource(path, "image", async (source) => {
    const parts = await partsOf(source);
    return { ...(await storeParts(source, parts, cacheDir)), report: imageReport(source, parts) };
  });
}

async function requireKernel(source: Source, options: ReadOptions): Promise<LocatedKernel> {
  const store = await openStore(source);
  const kernel = await locateKernel(source, store, options);
  if (!kernel) throw noKernel(source, store);
  return {
    ...kernel,
    report: { ...kernel.report, warnings: [...store.warnings, ...kernel.report.warnings] },
  };
}

async function kernelOrError(
  source: Source,
  store: Store,
  options: ReadOptions,
): Promise<Pick<RvfReport, "kernel" | "kernelError">> {
  try {
    const kernel = await locateKernel(source, store, options);
    return kernel ? { kernel: kernel.report } : {};
  } catch (error) {
    if (!(error instanceof MicroVmError) || error.code === "Io") throw error;
    return { kernelError: { code: error.code, message: error.message } };
  }
}

function countByType(types: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const type of types) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

const partsOf = (source: Source): Promise<ImageParts> =>
  identifyImage(source, { start: 0, length: source.size });

function imageReport(source: Source, { imageKind, arch, initramfs, warnings }: ImageParts): ImageReport {
  return {
    imageKind,
    arch,
    imageBytes: source.size,
    ...(initramfs && { initramfs: { bytes: initramfs.length, format: initramfs.format } }),
    warnings,
  };
}
