/** Finds the kernel of a store, checks all that the file says of it, and copies it out where somebody wants it. */
import type { KeyObject } from "node:crypto";
import { forbiddenTypes, parseBinding, type KernelBinding } from "./format/binding.js";
import { readCmdline } from "./format/cmdline.js";
import { checkContent } from "./format/content-hash.js";
import {
  KERNEL_HEADER_BYTES,
  damaged,
  parseKernelHeader,
  unsupported,
  type KernelHeader,
} from "./format/kernel.js";
import { fittingLayouts, type KernelLayout } from "./format/layout.js";
import { MAX_PAYLOAD_BYTES, SegmentFlag, typeName, type SegmentHeader } from "./format/segment.js";
import type { Store } from "./format/store.js";
import { isUnset, sha256 } from "./hash.js";
import { identifyImage, linuxOnly, type ImageParts } from "./image/identify.js";
import { withImage, type Image } from "./image/open.js";
import { withSnapshot } from "./snapshot.js";
import type { ByteRange, Source } from "./source.js";
import { ImageHashCheck, matchingHash, type ImageCheck } from "./verify/image-hash.js";
import type { Integrity } from "./verify/policy.js";
import { checkSignatures } from "./verify/signature.js";

/** A part of an image: what it is, and what it hashed to while it was copied. */
export interface PartDigest {
  size: number;
  sha256: string;
}

export interface ExaminedKernel {
  segment: SegmentHeader;
  header: KernelHeader;
  layout: KernelLayout;
  binding?: KernelBinding;
  cmdline: string;
  parts: ImageParts;
  kernel: PartDigest;
  initramfs?: PartDigest;
  integrity: Integrity;
  warnings: string[];
}

/** Takes the bytes of a part as they are read. */
export type Sink = (piece: Buffer) => Promise<void>;
export interface Sinks {
  kernel?: Sink;
  initramfs?: Sink;
}

/**
 * The newest kernel of a store, all of it read once and checked against its hashes and signatures: what they say stands
 * in `integrity`, for a policy to judge. Undefined if the store has no kernel. Throws KernelDamaged or KernelUnsupported
 * where it cannot even be told which bytes are the image.
 */
export async function examineKernel(
  source: Source,
  store: Store,
  keys: readonly KeyObject[],
  sinks: Sinks = {},
): Promise<ExaminedKernel | undefined> {
  const segment = kernelSegment(store);
  if (!segment) return undefined;
  if (keys.length === 0) return await examineSegment(source, segment, store, { from: source, keys, sinks });
  // Who trusts keys relies on what they signed: nobody may change it between the check and the use.
  return await withSnapshot(source, segment, async (copy, own) => ({
    ...(await examineSegment(copy, own, store, { from: source, keys, sinks })),
    segment,
  }));
}

interface Examination {
  /** Where the rest of the store is. */
  from: Source;
  keys: readonly KeyObject[];
  sinks: Sinks;
}

/** Examines a kernel's segment, which may stand in a copy. */
export async function examineSegment(
  source: Source,
  segment: SegmentHeader,
  store: Store,
  { from, keys, sinks }: Examination,
): Promise<ExaminedKernel> {
  const header = parseKernelHeader(await source.at(segment.payload.start, KERNEL_HEADER_BYTES));
  const layout = await chooseLayout(source, header, segment);
  const binding =
    layout.binding && parseBinding(await source.at(layout.binding.start, layout.binding.length));
  const cmdline = await readCmdline(source, layout.cmdline);
  const image = await withImage(source, header, layout, (opened) => readImage(opened, header, sinks));
  // After the image, so that the disk can work on what went into the sinks.
  const content = await checkContent(source, segment);
  const signature = await checkSignatures(
    source,
    { segment, layout, flags: header.flags },
    from,
    store,
    keys,
  );
  const forbiddenSegments = binding
    ? forbiddenTypes(binding, store.manifest.directory.types()).map(typeName)
    : [];
  return {
    segment,
    header,
    layout,
    ...(binding && { binding }),
    cmdline,
    ...image,
    integrity: { segment: content, image: image.check, signature, forbiddenSegments },
    warnings: [...oddities(segment, header), ...contradictions(header, image.parts), ...image.parts.warnings],
  };
}

/** The newest kernel's segment; an older one is never taken in its place. */
export function kernelSegment({ manifest, segments }: Store): SegmentHeader | undefined {
  const newest = manifest.directory.newestKernel();
  if (!newest) return undefined;
  const { entry } = newest;
  const segment = segments[newest.index];
  if (!segment)
    throw damaged(`the manifest names segment ${entry.id} at byte ${entry.offset}, which is not there`);
  const { flags, compression, payload } = segment;
  if (flags & SegmentFlag.compressed || compression !== 0) throw unsupported("its segment is compressed");
  if (flags & SegmentFlag.encrypted) throw unsupported("its segment is encrypted");
  if (flags & SegmentFlag.partial) throw damaged("its segment is marked as written in part");
  if (flags & SegmentFlag.tombstone) throw unsupported("its segment is marked as a deletion");
  if (payload.length > MAX_PAYLOAD_BYTES)
    throw unsupported(`it has ${payload.length} bytes; at most ${MAX_PAYLOAD_BYTES} are read`);
  if (payload.length < KERNEL_HEADER_BYTES) throw damaged("its segment is shorter than a kernel header");
  return segment;
}

/** By the sizes, and where two layouts fit, by the image's hash. */
async function chooseLayout(
  source: Source,
  header: KernelHeader,
  { payload }: SegmentHeader,
): Promise<KernelLayout> {
  const [first, ...others] = fittingLayouts(header, payload);
  if (!first) throw damaged("its sizes do not add up to any known layout");
  if (header.imageSize === 0) throw damaged("its image is empty");
  if (header.imageSize > MAX_PAYLOAD_BYTES)
    throw unsupported(`its image has ${header.imageSize} bytes; at most ${MAX_PAYLOAD_BYTES} are read`);
  if (others.length === 0 || isUnset(header.imageHash)) return first;
  for (const layout of [first, ...others])
    if (await withImage(source, header, layout, (image) => matchingHash(image, header.imageHash)))
      return layout;
  return first;
}

interface ReadImage {
  parts: ImageParts;
  kernel: PartDigest;
  initramfs?: PartDigest;
  check: ImageCheck;
}

/** Reads the image once, for its hash, its parts' hashes and the sinks alike. */
async function readImage(image: Image, header: KernelHeader, sinks: Sinks): Promise<ReadImage> {
  const parts = await identifyImage(image.source, image.range);
  const hash = new ImageHashCheck(header);
  const kernel = await readPart(image.source, parts.kernel, hash, sinks.kernel);
  const initramfs = parts.initramfs && (await readPart(image.source, parts.initramfs, hash, sinks.initramfs));
  return { parts, kernel, ...(initramfs && { initramfs }), check: await hash.finish(image) };
}

/** Reads one part of a file, hashing it while the sink writes it. */
export async function readPart(
  source: Source,
  range: ByteRange,
  hash?: ImageHashCheck,
  sink?: Sink,
): Promise<PartDigest> {
  const digest = sha256();
  for await (const piece of source.stream(range)) {
    const sunk = sink?.(piece);
    digest.update(piece);
    hash?.update(piece);
    await sunk;
  }
  return { size: range.length, sha256: digest.digest().toString("hex") };
}

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

/** Values that the format has no meaning for: its readers are to pass over them. */
function oddities(
  { flags }: SegmentHeader,
  { kernelType, apiTransport, flags: names }: KernelHeader,
): string[] {
  const found: string[] = [];
  if (flags & SegmentFlag.reserved)
    found.push("The kernel's segment has flags set that the format reserves: they are ignored.");
  const nameless = names.filter((name) => name.startsWith("BIT_"));
  if (nameless.length > 0)
    found.push(
      `The kernel's header has flags that are not known here (${nameless.join(", ")}): they are ignored.`,
    );
  if (kernelType.startsWith("unknown")) found.push(`The kernel's type is ${kernelType}.`);
  if (apiTransport !== "http" && apiTransport !== "none")
    found.push(`The header says the kernel's API speaks ${apiTransport}; only HTTP is spoken to it.`);
  return found;
}
