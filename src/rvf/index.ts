/**
 * Reads RVF files: what a store holds, the kernel it carries, and that kernel's bytes copied out; and adds kernels to
 * copies of them. A file is never loaded whole and its vectors are never read; nothing here knows of QEMU or Pulumi.
 */
import type { KeyObject } from "node:crypto";
import { MicroVmError } from "../errors.js";
import { kernelCacheDir } from "../paths.js";
import { extractInto, type Reading } from "./cache/extract.js";
import { recall } from "./cache/known.js";
import { examineKernel, readPart, type ExaminedKernel, type Sinks } from "./examine.js";
import { KERNEL_HEADER_BYTES } from "./format/kernel.js";
import { SEGMENT_HEADER_BYTES } from "./format/segment.js";
import { noKernel, openStore } from "./format/store.js";
import { identifyImage, type Arch } from "./image/identify.js";
import {
  archOf,
  fileReport,
  imageIdentity,
  integrityReport,
  kernelReport,
  storeReport,
  type ImageReport,
  type KernelReport,
  type RvfReport,
  type StoreReport,
} from "./report.js";
import { withSource, type Source } from "./source.js";
import { fingerprint, parsePublicKey } from "./verify/keys.js";
import { integrityInWords, judge, type Integrity, type Verification } from "./verify/policy.js";

export { extractToFiles, type WrittenFiles } from "./write/extract.js";
export { fingerprintRvf } from "./fingerprint.js";
export { embedKernel, type EmbedOptions, type EmbedReport } from "./write/embed.js";
export { signKernel, type SignOptions, type SignReport } from "./write/sign.js";
export { generateKeyPair, parsePublicKey } from "./verify/keys.js";
export { verifyRvf, type Point, type VerifyReport } from "./points.js";
export type { Arch, ImageKind } from "./image/identify.js";
export type { Verdict, Verification } from "./verify/policy.js";
export type * from "./report.js";

export interface Trust {
  /**
   * What is demanded of the kernel. What is there must be true always; "lenient" warns of weak or missing hashes and
   * unknown signers, "strict" refuses them, "signed" wants a signature by one of the trusted keys.
   * @default "lenient"
   */
  verification?: Verification;
  /**
   * Ed25519 public keys, each as PEM text or 64 hex digits.
   * @default []
   */
  trustedKeys?: readonly string[];
}

export interface ExtractOptions extends Trust {
  /**
   * Where the extracted files are kept.
   * @default kernelCacheDir()
   */
  cacheDir?: string;
}

/** The newest kernel of an RVF, and how far it can be trusted. */
export interface Kernel extends KernelReport {
  /** By the image where its bytes tell, else by the header. */
  arch: Arch;
  /** What was checked, in words for a person. */
  integrity: string;
  warnings: string[];
}

export interface ExtractedFiles {
  kernelPath: string;
  initramfsPath?: string;
  /** SHA-256 of the kernel file, hex. */
  sha256: string;
}

/** What a plain kernel file is. */
export interface ImageFile {
  image: ImageReport;
  initramfs: KernelReport["initramfs"];
  warnings: string[];
}

/**
 * Describes a whole RVF. A kernel that cannot be told apart is named in `error`, so that the rest can still be seen; whether
 * it is to be trusted stands in `integrity`. Throws FileNotFound, RvfInvalid, Io, or InvalidArgument for a bad key.
 */
export function inspectRvf(path: string, { trustedKeys = [] }: Trust = {}): Promise<RvfReport> {
  const keys = trustedKeys.map(parsePublicKey);
  return withSource(path, "rvf", async (source) => {
    const store = await openStore(source);
    const base = fileReport(source, store);
    try {
      const kernel = await examineKernel(source, store, keys);
      if (!kernel) return { ...base, kernel: null, integrity: null, warnings: store.warnings };
      return {
        ...base,
        kernel: kernelReport(kernel),
        integrity: integrityReport(kernel.integrity),
        warnings: [...store.warnings, ...warningsOf(kernel.integrity), ...kernel.warnings],
      };
    } catch (error) {
      if (!(error instanceof MicroVmError) || !error.code.startsWith("Kernel")) throw error;
      const { code, message } = error;
      return { ...base, kernel: null, integrity: null, error: { code, message }, warnings: store.warnings };
    }
  });
}

/** What a damaged kernel is damaged by is a warning, too, where nobody is about to boot it. */
function warningsOf(integrity: Integrity): string[] {
  try {
    return judge(integrity, "lenient");
  } catch (error) {
    return [(error as MicroVmError).message];
  }
}

/** What a store holds, and what is odd about it, without a look at its kernel. Throws FileNotFound, RvfInvalid or Io. */
export function inspectStore(path: string): Promise<StoreReport & { warnings: string[] }> {
  return withSource(path, "rvf", async (source) => {
    const store = await openStore(source);
    return { ...storeReport(store), warnings: store.warnings };
  });
}

/**
 * The newest kernel of an RVF, read and judged; one that was extracted before, from a file that has not changed since, is not read
 * again. Throws FileNotFound, RvfInvalid, NoKernelSegment, KernelUnsupported, KernelDamaged, KernelUntrusted, Io, or InvalidArgument
 * for a bad key.
 */
export function readKernel(
  path: string,
  { cacheDir = kernelCacheDir(), verification = "lenient", trustedKeys = [] }: ExtractOptions = {},
): Promise<Kernel> {
  const keys = trustedKeys.map(parsePublicKey);
  return withSource(path, "rvf", async (source) => {
    const known = await recall<KernelFacts>(source, cacheDir, circumstancesOf(keys));
    const { facts } = known ?? (await readFacts(source, keys, verification));
    return judged(facts, verification);
  });
}

/**
 * Verifies the newest kernel and copies it, and an initramfs appended to it, into the cache; a file that was read before
 * and has not changed since is not read again. Throws as `readKernel` does, and TempFile or KernelExtraction where the
 * cache cannot be written.
 */
export function extractKernel(
  path: string,
  { cacheDir = kernelCacheDir(), verification = "lenient", trustedKeys = [] }: ExtractOptions = {},
): Promise<ExtractedFiles & { kernel: Kernel }> {
  const keys = trustedKeys.map(parsePublicKey);
  return withSource(path, "rvf", async (source) => {
    const { facts, ...files } = await extractInto<KernelFacts>(
      source,
      cacheDir,
      circumstancesOf(keys),
      (sinks) => readFacts(source, keys, verification, sinks),
    );
    return { ...files, sha256: facts.report.image.sha256, kernel: judged(facts, verification) };
  });
}

/** What a plain kernel file is, as `readKernel` reads. Throws FileNotFound, InvalidArgument if it is no regular file, Io if it is unreadable. */
export function inspectImage(
  path: string,
  { cacheDir = kernelCacheDir() }: Pick<ExtractOptions, "cacheDir"> = {},
): Promise<ImageFile> {
  return withSource(path, "image", async (source) => {
    const known = await recall<ImageFile>(source, cacheDir, imageCircumstances);
    return (known ?? (await readImageFile(source))).facts;
  });
}

/** Copies a plain kernel file, and an initramfs appended to it, into the cache as `extractKernel` does. */
export function extractImage(
  path: string,
  { cacheDir = kernelCacheDir() }: Pick<ExtractOptions, "cacheDir"> = {},
): Promise<ExtractedFiles & { file: ImageFile }> {
  return withSource(path, "image", async (source) => {
    const { facts, ...files } = await extractInto<ImageFile>(source, cacheDir, imageCircumstances, (sinks) =>
      readImageFile(source, sinks),
    );
    return { ...files, sha256: facts.image.sha256, file: facts };
  });
}

const circumstancesOf = (keys: readonly KeyObject[]): string[] => ["rvf", ...keys.map(fingerprint).sort()];
const imageCircumstances = ["image"];

/** What is remembered of a kernel: all but the judgement, which depends on the policy. */
interface KernelFacts {
  report: KernelReport;
  integrity: Integrity;
  warnings: string[];
}

function judged({ report, integrity, warnings }: KernelFacts, verification: Verification): Kernel {
  return {
    ...report,
    arch: archOf(report),
    integrity: integrityInWords(integrity),
    warnings: [...judge(integrity, verification), ...warnings],
  };
}

/** Reads the kernel and refuses it before anybody uses what went into the sinks. */
async function readFacts(
  source: Source,
  keys: readonly KeyObject[],
  verification: Verification,
  sinks?: Sinks,
): Promise<Reading<KernelFacts>> {
  const store = await openStore(source);
  const examined = await examineKernel(source, store, keys, sinks);
  if (!examined) throw noKernel(source, store);
  judge(examined.integrity, verification);
  return {
    facts: {
      report: kernelReport(examined),
      integrity: examined.integrity,
      warnings: [...store.warnings, ...examined.warnings],
    },
    ...partsOf(examined),
    probe: { start: examined.segment.offset, length: SEGMENT_HEADER_BYTES + KERNEL_HEADER_BYTES },
    vouched: examined.integrity.image.outcome === "match",
  };
}

const partsOf = ({ kernel, initramfs }: ExaminedKernel): Pick<ExaminedKernel, "kernel" | "initramfs"> => ({
  kernel,
  ...(initramfs && { initramfs }),
});

async function readImageFile(source: Source, sinks: Sinks = {}): Promise<Reading<ImageFile>> {
  if (source.size === 0)
    throw new MicroVmError("InvalidArgument", `The kernel image "${source.path}" is empty.`, {
      property: "kernelPath",
    });
  const parts = await identifyImage(source, { start: 0, length: source.size });
  const kernel = await readPart(source, parts.kernel, undefined, sinks.kernel);
  const initramfs = parts.initramfs && (await readPart(source, parts.initramfs, undefined, sinks.initramfs));
  return {
    facts: {
      image: { ...imageIdentity(parts), ...kernel },
      initramfs: initramfs ? { ...initramfs, format: parts.initramfs?.format ?? "" } : null,
      warnings: parts.warnings,
    },
    kernel,
    ...(initramfs && { initramfs }),
    probe: { start: 0, length: Math.min(SEGMENT_HEADER_BYTES, source.size) },
    vouched: false,
  };
}
