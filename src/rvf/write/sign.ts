/** Signs the kernel of a store: a copy in which the same payload stands in a new, signed segment. */
import { examineSegment, kernelSegment } from "../examine.js";
import { noKernel, openStore } from "../format/store.js";
import { json64, type Json64 } from "../report.js";
import { withSnapshot } from "../snapshot.js";
import { withSource } from "../source.js";
import { fingerprint, parsePrivateKey, publicKeyOf } from "../verify/keys.js";
import { integrityInWords, judge } from "../verify/policy.js";
import { addKernel } from "./store.js";

export interface SignOptions {
  /** An Ed25519 key as PEM text (PKCS#8). */
  privateKey: string;
  /** The file that is written. There must be none. */
  out: string;
  /** Stops the writing; nothing is left behind then. */
  signal?: AbortSignal | undefined;
}

/** What was written, as JSON-able data. */
export interface SignReport {
  out: string;
  /** Its size: the kernel is in it twice, as the former segment stays. */
  bytes: number;
  /** The new segment. */
  segmentId: Json64;
  /** Fingerprint of the public key that the signature is verified with. */
  signer: string;
  /** What was known of the kernel's integrity before it was signed. */
  integrity: string;
  warnings: string[];
}

/**
 * Verifies the newest kernel of the RVF at `path` and writes a copy with that kernel signed; the original is only read.
 * A kernel that is damaged or falsely signed is refused as a launch refuses it. Throws as `embedKernel` does besides; then
 * there is no file at `out`.
 */
export async function signKernel(
  path: string,
  { out, signal, ...options }: SignOptions,
): Promise<SignReport> {
  const privateKey = parsePrivateKey(options.privateKey);
  return withSource(path, "rvf", async (source) => {
    const store = await openStore(source);
    const segment = kernelSegment(store);
    if (!segment) throw noKernel(source, store);
    // What is signed is what was verified, whoever writes to the file meanwhile.
    return withSnapshot(source, segment, async (copy, own) => {
      const kernel = await examineSegment(copy, own, store, { from: source, keys: [], sinks: {} });
      const doubts = judge(kernel.integrity, "lenient");
      const payload = [{ source: copy, range: own.payload }];
      const { id, bytes } = await addKernel(source, store, payload, { out, privateKey, signal });
      return {
        out,
        bytes,
        segmentId: json64(id),
        signer: fingerprint(publicKeyOf(privateKey)),
        integrity: integrityInWords(kernel.integrity),
        warnings: [...kernel.warnings, ...doubts],
      };
    });
  });
}
