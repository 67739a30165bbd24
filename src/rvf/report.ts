/** What there is to say about an RVF, as a JSON-able document. Its fields are stable; docs/rvf.md lists them. */
import type { ErrorCode } from "../errors.js";
import type { ExaminedKernel, PartDigest } from "./examine.js";
import type { Compression } from "./format/kernel.js";
import type { KernelLayout } from "./format/layout.js";
import { typeName, type SegmentHeader } from "./format/segment.js";
import type { Store } from "./format/store.js";
import { isUnset } from "./hash.js";
import type { Arch, ImageKind, ImageParts } from "./image/identify.js";
import type { Source } from "./source.js";
import { verdictOf, type Integrity, type Verdict } from "./verify/policy.js";

/** A 64-bit number of the file: a decimal string where a JSON number would lose digits (2^53 and above). */
export type Json64 = number | string;

export const json64 = (value: bigint): Json64 =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();

export interface RvfReport {
  file: string;
  /** Bytes. */
  size: number;
  /** What the newest manifest names, the manifest itself, and what follows it, in the file's order. */
  segments: SegmentReport[];
  store: StoreReport;
  /** The newest kernel; null if there is none, or none that can be told apart (then see `error`). */
  kernel: KernelReport | null;
  /** Null without a kernel. */
  integrity: IntegrityReport | null;
  /** Why a kernel that is there could not be read. */
  error?: { code: ErrorCode; message: string };
  warnings: string[];
}

export interface SegmentReport {
  id: Json64;
  type: string;
  /** Of the header, in bytes. */
  offset: number;
  /** Of the payload, in bytes. */
  length: number;
  /** The content hash in hex; null where none is set. */
  hash: string | null;
}

export interface StoreReport {
  dimension: number;
  /** Vectors that a query can find. */
  vectors: Json64;
  epoch: number;
  metric: string;
  /** How segments are laid out: "wire" on 64-byte boundaries, "legacy" without padding, "mixed". */
  dialect: Store["dialect"];
}

export interface KernelReport {
  segmentId: Json64;
  layout: KernelLayout["name"];
  /** The kernel without an initramfs behind it. */
  image: ImageReport;
  header: {
    arch: string;
    type: string;
    /** Names of the flags that are set. */
    flags: string[];
    apiTransport: string;
    /** Guest port of the API; 0 if the header names none. */
    apiPort: number;
    /** 0 if the header does not say. */
    minMemoryMb: number;
    /** 0 if the header does not say. */
    vcpus: number;
    entryPoint: Json64;
    /** Hex; null where none is set. */
    buildId: string | null;
    buildTimestamp: Json64;
  };
  /** The kernel's own command line, empty if there is none. */
  cmdline: string;
  compression: Compression;
  initramfs: (PartDigest & { format: string }) | null;
  binding: {
    version: number;
    minRuntimeVersion: number;
    manifestRootHash: string;
    policyHash: string;
  } | null;
}

export interface ImageReport extends PartDigest {
  kind: ImageKind;
  arch: Arch;
}

/** For each check "NAME matches", "mismatch", "absent" or, for signatures, its outcome; and the sum in one word. */
export interface IntegrityReport {
  segment: string;
  image: string;
  signature: string;
  verdict: Verdict;
}

export const storeReport = ({ manifest, dialect }: Store): StoreReport => {
  const live = manifest.totalVectors - BigInt(manifest.deletedVectors);
  return {
    dimension: manifest.dimension,
    vectors: json64(live > 0n ? live : 0n),
    epoch: manifest.epoch,
    metric: manifest.metric,
    dialect,
  };
};

/** What there is to say before a look at the kernel. */
export const fileReport = (
  { path, size }: Source,
  store: Store,
): Pick<RvfReport, "file" | "size" | "segments" | "store"> => ({
  file: path,
  size,
  segments: segmentReports(store),
  store: storeReport(store),
});

function segmentReports({ manifest, segments, tail }: Store): SegmentReport[] {
  return [...segments, manifest.segment, ...tail]
    .filter((segment) => segment !== undefined)
    .sort((one, other) => one.offset - other.offset)
    .map(segmentReport);
}

const segmentReport = ({ id, type, offset, payload, contentHash }: SegmentHeader): SegmentReport => ({
  id: json64(id),
  type: typeName(type),
  offset,
  length: payload.length,
  hash: contentHash ?? null,
});

export function kernelReport(examined: ExaminedKernel): KernelReport {
  const { segment, header, layout, binding, cmdline, parts, kernel, initramfs } = examined;
  return {
    segmentId: json64(segment.id),
    layout: layout.name,
    image: { ...imageIdentity(parts), ...kernel },
    header: {
      arch: header.arch,
      type: header.kernelType,
      flags: header.flags,
      apiTransport: header.apiTransport,
      apiPort: header.apiPort,
      minMemoryMb: header.minMemoryMb,
      vcpus: header.vcpus,
      entryPoint: json64(header.entryPoint),
      buildId: isUnset(header.buildId) ? null : header.buildId.toString("hex"),
      buildTimestamp: json64(header.buildTimestamp),
    },
    cmdline,
    compression: header.compression,
    initramfs: initramfs ? { ...initramfs, format: parts.initramfs?.format ?? "" } : null,
    binding: binding
      ? {
          version: binding.version,
          minRuntimeVersion: binding.minRuntimeVersion,
          manifestRootHash: binding.manifestRootHash,
          policyHash: binding.policyHash,
        }
      : null,
  };
}

export const imageIdentity = ({ imageKind, arch }: ImageParts): { kind: ImageKind; arch: Arch } => ({
  kind: imageKind,
  arch,
});

/** By the image where its bytes tell, else by the header. */
export function archOf({ image, header }: Pick<KernelReport, "image" | "header">): Arch {
  if (image.arch !== "unknown") return image.arch;
  const { arch } = header;
  return arch === "x86_64" || arch === "aarch64" || arch === "riscv64" ? arch : "unknown";
}

export function integrityReport(integrity: Integrity): IntegrityReport {
  const { segment, image, signature } = integrity;
  return {
    segment: checkInWord(segment),
    image: checkInWord(image),
    signature: signature.outcome,
    verdict: verdictOf(integrity),
  };
}

function checkInWord(check: { outcome: string; algorithm?: string }): string {
  switch (check.outcome) {
    case "match":
      return `${check.algorithm} matches`;
    case "unset":
      return "absent";
    default:
      return check.outcome;
  }
}
