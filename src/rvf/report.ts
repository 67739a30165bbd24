/** Puts together what there is to say about the kernel of an RVF. */
import { MicroVmError } from "../errors.js";
import { readCmdline } from "./format/cmdline.js";
import { identifyImage, type Arch, type ImageKind, type ImageParts } from "./image/identify.js";
import { damaged, verifyImage, verifySegment, type Finding } from "./verify/integrity.js";
import {
  KERNEL_HEADER_BYTES,
  fittingLayouts,
  newestKernel,
  parseKernelHeader,
  unsupported,
} from "./format/kernel.js";
import type { KernelHeader, KernelLayout } from "./format/kernel.js";
import type { SegmentHeader } from "./format/segment.js";
import type { Source } from "./source.js";
import type { Store } from "./format/store.js";

/** A 64-bit number of the file: a decimal string where a JSON number would lose digits (2^53 and above). */
export type Json64 = number | string;

export const json64 = (value: bigint): Json64 =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();

/** The newest kernel of an RVF, as JSON-able data. */
export interface KernelReport {
  segmentId: Json64;
  layout: KernelLayout["name"];
  imageKind: ImageKind;
  /** The image as embedded, an appended initramfs included. */
  imageBytes: number;
  archByHeader: string;
  archByImage: Arch;
  /** By the image where its bytes tell, else by the header. */
  arch: Arch;
  kernelType: string;
  /** Names of the header's flags. */
  flags: string[];
  requiresKvm: boolean;
  /** The kernel's own command line, empty if there is none. */
  cmdline: string;
  /** Guest port of the HTTP API; 0 if the header names none. */
  apiPort: number;
  apiTransport: string;
  /** Least memory the kernel asks for, MiB; 0 if it does not say. */
  minMemoryMb: number;
  /** vCPUs the kernel asks for; 0 if it does not say. */
  vcpus: number;
  initramfs?: { bytes: number; format: string };
  /** What was checked and how far it can be trusted, in words. */
  integrity: string;
  warnings: string[];
}

export interface ReadOptions {
  /**
   * Hash the kernel against what the file says of it.
   * @default true
   */
  verify?: boolean;
}

/** A kernel with where its bytes are, for extraction. */
export interface LocatedKernel {
  report: KernelReport;
  parts: ImageParts;
}

/** Finds, checks and describes the newest kernel; undefined if the store has none. An older one is never taken. */
export async function locateKernel(
  source: Source,
  store: Store,
  { verify = true }: ReadOptions,
): Promise<LocatedKernel | undefined> {
  const index = newestKernel(store.manifest.directory);
  const entry = store.manifest.directory[index];
  if (!entry) return undefined;
  const segment = store.segments[index];
  if (!segment)
    throw damaged(`the manifest names segment ${entry.id} at byte ${entry.offset}, which is not there`);
  if (segment.flags & 1 || segment.compression !== 0) throw unsupported("its segment is compressed");
  if (segment.flags & 2) throw unsupported("its segment is encrypted");

  const unverified: Finding = { words: "not checked", warnings: [] };
  const segmentFinding = verify ? await verifySegment(source, segment) : unverified;
  const header = await readHeader(source, segment);
  const layouts = fittingLayouts(header, segment.payload);
  const [first, ...others] = layouts;
  if (!first) throw damaged("its sizes do not add up to any known layout");
  const found = verify
    ? await verifyImage(source, header, [first, ...others])
    : { layout: first, ...unverified };
  const { image, cmdline, signed, name: layout } = found.layout;
  if (image.length === 0) throw damaged("its image is empty");

  const parts = await identifyImage(source, image);
  const archByHeader = header.arch;
  const report: KernelReport = {
    segmentId: json64(segment.id),
    layout,
    imageKind: parts.imageKind,
    imageBytes: image.length,
    archByHeader,
    archByImage: parts.arch,
    arch: parts.arch === "unknown" ? knownArch(archByHeader) : parts.arch,
    kernelType: header.kernelType,
    flags: header.flags,
    requiresKvm: header.flags.includes("REQUIRES_KVM"),
    cmdline: await readCmdline(source, cmdline),
    apiPort: header.apiPort,
    apiTransport: header.apiTransport,
    minMemoryMb: header.minMemoryMb,
    vcpus: header.vcpus,
    ...(parts.initramfs && { initramfs: { bytes: parts.initramfs.length, format: parts.initramfs.format } }),
    integrity: verify ? `${segmentFinding.words}; ${found.words}` : "not checked",
    warnings: [
      ...segmentFinding.warnings,
      ...found.warnings,
      ...(signed ? ["The kernel carries a signature, which was not checked."] : []),
      ...contradictions(header, parts),
      ...parts.warnings,
    ],
  };
  return { report, parts };
}

async function readHeader(source: Source, { payload }: SegmentHeader): Promise<KernelHeader> {
  if (payload.length < KERNEL_HEADER_BYTES) throw damaged("its segment is shorter than a kernel header");
  return parseKernelHeader(await source.at(payload.start, KERNEL_HEADER_BYTES));
}

const knownArch = (name: string): Arch =>
  name === "x86_64" || name === "aarch64" || name === "riscv64" ? name : "unknown";

const linuxOnly: ReadonlySet<ImageKind> = new Set(["bzImage", "arm64-image", "riscv-image"]);

/** Where header and image say different things. `rvf embed-kernel` writes such headers; the image is believed. */
function contradictions(
  { arch, kernelType, flags }: KernelHeader,
  { arch: real, imageKind }: ImageParts,
): string[] {
  const found: string[] = [];
  if (real !== "unknown" && arch !== real && arch !== "universal")
    found.push(`The header says the kernel is for ${arch}, the image is for ${real}: the image is believed.`);
  if (kernelType === "hermit" && linuxOnly.has(imageKind))
    found.push(`The header says the kernel is of type hermit, the image is a Linux ${imageKind}.`);
  if (flags.includes("REQUIRES_TEE"))
    found.push("The header has REQUIRES_TEE, which `rvf embed-kernel` sets as a placeholder: it is ignored.");
  return found;
}

/** The error for a store without a kernel, with how to get one in. */
export function noKernel(source: Source, { cutShort, warnings }: Store): MicroVmError {
  if (cutShort)
    return new MicroVmError(
      "RvfInvalid",
      `"${source.path}" is cut short, and what is left holds no kernel.`,
      {
        property: "rvfPath",
        evidence: warnings.join("\n"),
        hint: "Copy or write the file again.",
      },
    );
  return new MicroVmError("NoKernelSegment", `"${source.path}" carries no kernel to boot.`, {
    property: "rvfPath",
    hint: `Embed one: rvf embed-kernel ${source.path} --prebuilt --image-path IMAGE (or name one as kernelPath).`,
    ...(warnings.length > 0 && { evidence: warnings.join("\n") }),
  });
}
