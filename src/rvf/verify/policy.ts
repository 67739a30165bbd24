/** What a user demands of a kernel, held against what the checks found; and the finding in words. */
import { MicroVmError } from "../../errors.js";
import type { ContentCheck } from "../format/content-hash.js";
import { damaged, unsupported } from "../format/kernel.js";
import type { ImageCheck } from "./image-hash.js";
import type { SignatureCheck } from "./signature-check.js";

/** What was found of one kernel, as JSON-able data. */
export interface Integrity {
  segment: ContentCheck;
  image: ImageCheck;
  signature: SignatureCheck;
  /** Types of segments in the store that the kernel's binding does not allow. */
  forbiddenSegments: string[];
}

/**
 * "lenient": what is there must be true; weak or missing hashes and unknown signers are warnings.
 * "strict": a cryptographic hash of the image must be there, and no doubt of any kind.
 * "signed": a key that the user trusts must have signed it.
 */
export type Verification = "strict" | "signed" | "lenient";

/** In one word: "signed" by a trusted key, "verified" by a cryptographic hash, "weak", "unprotected" or "damaged". */
export type Verdict = "signed" | "verified" | "weak" | "unprotected" | "damaged";

export function verdictOf({ segment, image, signature }: Integrity): Verdict {
  if (
    segment.outcome === "mismatch" ||
    segment.outcome === "unknown" ||
    image.outcome === "mismatch" ||
    signature.outcome === "invalid"
  )
    return "damaged";
  if (signature.outcome === "valid") return "signed";
  if (image.outcome === "match" && image.algorithm !== "fold") return "verified";
  return image.outcome === "match" || segment.outcome === "match" ? "weak" : "unprotected";
}

/** For the output `kernelIntegrity`. */
export function integrityInWords({ segment, image, signature }: Integrity): string {
  const segmentWords =
    segment.outcome === "match" ? `segment hash ${segment.algorithm} matches` : "no segment hash is set";
  return [signature.words, imageWords(image), segmentWords].join("; ");
}

function imageWords(image: ImageCheck): string {
  if (image.outcome === "unset") return "no image hash is set";
  if (image.outcome === "mismatch") return "image hash does not match";
  return image.algorithm === "fold"
    ? "image hash is a non-cryptographic fold (no protection against forgery)"
    : `image hash ${image.algorithm} matches`;
}

/** Throws where the kernel must not be used under this policy; else gives what is to be warned of. */
export function judge(integrity: Integrity, verification: Verification): string[] {
  refuseFalse(integrity);
  const { signature } = integrity;
  if (verification === "signed" && signature.outcome !== "valid")
    throw untrusted(
      `verification is "signed", and it carries ${signature.outcome === "absent" ? "no signature" : `a ${signature.words}`}`,
      hintFor(integrity, "`microvm sign` makes a signed copy; name its public key in trustedKeys."),
    );
  const doubts = doubtsOf(integrity);
  const forbidden = forbiddenIn(integrity);
  if (forbidden !== undefined && verification !== "lenient")
    throw untrusted(
      `verification is "${verification}": ${forbidden}`,
      "Take a store that the binding is for.",
    );
  const [first] = doubts;
  if (first !== undefined && verification === "strict")
    throw untrusted(
      `verification is "strict": ${first}`,
      hintFor(integrity, "Embed it anew by `microvm embed`, which stores a SHA3-256 hash."),
    );
  return [...doubts, ...(forbidden === undefined ? [] : [forbidden])].map(
    (doubt) => `${doubt.charAt(0).toUpperCase()}${doubt.slice(1)}.`,
  );
}

export const untrusted = (what: string, hint: string): MicroVmError =>
  new MicroVmError("KernelUntrusted", `The kernel in the RVF is not trusted: ${what}.`, {
    property: "rvfPath",
    hint,
  });

function refuseFalse({ segment, image, signature }: Integrity): void {
  if (segment.outcome === "mismatch")
    throw damaged(`its segment does not match its hash (${segment.algorithm})`);
  if (segment.outcome === "unknown")
    throw unsupported(`its segment is hashed with an unknown algorithm (${segment.algorithm})`);
  if (image.outcome === "mismatch")
    throw damaged("the image does not match its hash (SHA3-256, SHAKE-256 and fold were tried)");
  if (signature.outcome === "invalid")
    throw untrusted(signature.words, "Do not boot it. Restore the file from where it came.");
}

function doubtsOf({ segment, image, signature }: Integrity): string[] {
  const doubts: string[] = [];
  if (segment.outcome === "unset") doubts.push("the kernel's segment carries no hash");
  if (image.outcome === "unset") doubts.push("the kernel image carries no hash");
  if (image.outcome === "match" && image.algorithm === "fold" && signature.outcome !== "valid")
    doubts.push("the image hash is a non-cryptographic fold: it shows accidents, not forgery");
  if (signature.outcome === "untrusted" || signature.outcome === "unchecked")
    doubts.push(`the kernel carries a ${signature.words}`);
  return doubts;
}

const forbiddenIn = ({ forbiddenSegments }: Integrity): string | undefined =>
  forbiddenSegments.length === 0
    ? undefined
    : `the store has segments that the kernel's binding does not allow (${forbiddenSegments.join(", ")})`;

/** What to do: `unsigned` where there is no signature, else trust the signer. */
const hintFor = ({ signature }: Integrity, unsigned: string): string =>
  signature.outcome === "absent" ? unsigned : "Name the signer's public key in trustedKeys, if you trust it.";
