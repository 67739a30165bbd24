/** Whether a kernel's bytes are the ones that were stored, told in words a person understands. */
import { MicroVmError } from "../../errors.js";
import { fold, hashRange, isUnset, sha3, shake256 } from "../hash.js";
import { unsupported, type KernelHeader, type KernelLayout } from "../format/kernel.js";
import { checkContent } from "../format/content-hash.js";
import type { SegmentHeader } from "../format/segment.js";
import type { Source } from "../source.js";

export interface Finding {
  /** One clause, without a full stop. */
  words: string;
  warnings: string[];
}

export const damaged = (what: string): MicroVmError =>
  new MicroVmError("KernelDamaged", `The kernel in the RVF is damaged: ${what}.`, {
    property: "rvfPath",
    hint: "Restore the file from a copy, or embed the kernel again.",
  });

/** The whole kernel segment against its content hash. */
export async function verifySegment(source: Source, segment: SegmentHeader): Promise<Finding> {
  const { outcome, algorithm } = await checkContent(source, segment);
  switch (outcome) {
    case "match":
      return { words: `segment hash ${algorithm} matches`, warnings: [] };
    case "unset":
      return { words: "no segment hash is set", warnings: ["The kernel's segment carries no hash."] };
    case "mismatch":
      throw damaged(`segment ${segment.id} does not match its hash (${algorithm})`);
    case "unknown":
      throw unsupported(`its segment is hashed with an unknown algorithm (${algorithm})`);
  }
}

/**
 * The image against the header's hash, which names no function: all known ones are tried, over each layout that fits.
 * A hash that none of them gives is damage, whatever the segment's own hash says: that one is easily made anew.
 */
export async function verifyImage(
  source: Source,
  { imageHash }: KernelHeader,
  layouts: [KernelLayout, ...KernelLayout[]],
): Promise<Finding & { layout: KernelLayout }> {
  if (isUnset(imageHash))
    return {
      layout: layouts[0],
      words: "no image hash is set",
      warnings: ["The kernel image carries no hash."],
    };
  for (const layout of layouts) {
    const hashers = { "SHA3-256": sha3(), "SHAKE-256": shake256(256), fold: fold() };
    const digests = await hashRange(source, layout.image, hashers);
    if (digests.fold.equals(imageHash))
      return {
        layout,
        words: "image hash is a non-cryptographic fold (no protection against forgery)",
        warnings: ["The image hash is a non-cryptographic fold: it shows accidents, not forgery."],
      };
    for (const name of ["SHA3-256", "SHAKE-256"] as const)
      if (digests[name].equals(imageHash))
        return { layout, words: `image hash ${name} matches`, warnings: [] };
  }
  throw damaged("the image does not match its hash (SHA3-256, SHAKE-256 and fold were tried)");
}
