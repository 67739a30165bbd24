/** The three signatures that can vouch for a kernel: its segment's, the one behind its image, and the whole store's. */
import { verify, type KeyObject } from "node:crypto";
import { KERNEL_HEADER_BYTES } from "../format/kernel.js";
import type { KernelLayout } from "../format/layout.js";
import { SEGMENT_HEADER_BYTES, SegmentFlag, type SegmentHeader } from "../format/segment.js";
import type { Store } from "../format/store.js";
import { digestOf, shake256 } from "../hash.js";
import type { Source } from "../source.js";
import { parseSignatureFooter, segmentMessage } from "./segment-signature.js";
import {
  byNobodyTrusted,
  invalid,
  unchecked,
  unknownAlgorithm,
  validBy,
  type SignatureCheck,
} from "./signature-check.js";
import { checkStoreSignature } from "./store-signature.js";

/** ADR-030 signs the image as a whole, and Ed25519 wants its whole message at hand. */
const MAX_SIGNED_IMAGE = 32 * 1024 * 1024;

export interface SignedParts {
  segment: SegmentHeader;
  layout: KernelLayout;
  /** Names of the kernel header's flags. */
  flags: string[];
}

/** Checks all signatures there are, of which a store's is elsewhere; a false one outweighs a valid one. */
export async function checkSignatures(
  source: Source,
  { segment, layout, flags }: SignedParts,
  storeSource: Source,
  store: Store,
  keys: readonly KeyObject[],
): Promise<SignatureCheck> {
  const found = [
    await checkSegmentSignature(source, segment, keys),
    await checkImageSignature(source, segment, layout, keys),
    await checkStoreSignature(storeSource, store, segment, keys),
  ].filter((check) => check !== undefined);
  for (const outcome of ["invalid", "valid", "untrusted", "unchecked"] as const) {
    const check = found.find((one) => one.outcome === outcome);
    if (check) return check;
  }
  if (flags.includes("SIGNED")) return invalid("the kernel's header says SIGNED, but no signature is there");
  return { outcome: "absent", words: "not signed" };
}

async function checkSegmentSignature(
  source: Source,
  segment: SegmentHeader,
  keys: readonly KeyObject[],
): Promise<SignatureCheck | undefined> {
  if (!(segment.flags & SegmentFlag.signed)) return undefined;
  const { payload, footerBytes, offset } = segment;
  const footer = parseSignatureFooter(await source.at(payload.start + payload.length, footerBytes));
  if (!footer) return invalid("the segment is marked as signed, but no signature follows it");
  if (!footer.ed25519) return unknownAlgorithm(footer.algorithm);
  if (keys.length === 0) return unchecked("its segment");
  const digest = await digestOf(source, payload, shake256(128));
  const message = segmentMessage(await source.at(offset, SEGMENT_HEADER_BYTES), digest);
  return byAny(keys, message, footer.ed25519, "its segment");
}

/** ADR-030: over the kernel's header, the command line without its padding, and the image as it is stored. */
async function checkImageSignature(
  source: Source,
  { payload }: SegmentHeader,
  { footer: range, cmdline, image }: KernelLayout,
  keys: readonly KeyObject[],
): Promise<SignatureCheck | undefined> {
  if (!range) return undefined;
  const footer = parseSignatureFooter(await source.at(range.start, range.length));
  if (!footer) return invalid("what follows the image is no signature");
  if (!footer.ed25519) return unknownAlgorithm(footer.algorithm);
  if (keys.length === 0) return unchecked("its image");
  if (image.length > MAX_SIGNED_IMAGE) {
    const limit = MAX_SIGNED_IMAGE / 2 ** 20;
    return { outcome: "untrusted", words: `signature over more than ${limit} MiB, which is not checked` };
  }
  const message = Buffer.alloc(KERNEL_HEADER_BYTES + cmdline.length + image.length);
  (await source.at(payload.start, KERNEL_HEADER_BYTES)).copy(message);
  (await source.at(cmdline.start, cmdline.length)).copy(message, KERNEL_HEADER_BYTES);
  let at = KERNEL_HEADER_BYTES + cmdline.length;
  for await (const piece of source.stream(image)) at += piece.copy(message, at);
  return byAny(keys, message, footer.ed25519, "its image");
}

function byAny(keys: readonly KeyObject[], message: Buffer, signature: Buffer, what: string): SignatureCheck {
  const signer = keys.find((key) => verify(null, message, key, signature));
  return signer ? validBy(what, signer) : byNobodyTrusted(what);
}
