/** What a check of a signature found. */
import type { KeyObject } from "node:crypto";
import { fingerprint } from "./keys.js";

export interface SignatureCheck {
  /**
   * "valid": a trusted key made it. "untrusted": no trusted key made it, or it was tampered with; a footer does not say
   * who signed. "invalid": surely false. "unchecked": no key is trusted. "absent": none is there.
   */
  outcome: "valid" | "untrusted" | "invalid" | "unchecked" | "absent";
  /** One clause. */
  words: string;
}

export const validBy = (what: string, signer: KeyObject): SignatureCheck => ({
  outcome: "valid",
  words: `signature of ${what} by trusted key ${fingerprint(signer)}`,
});

export const byNobodyTrusted = (what: string): SignatureCheck => ({
  outcome: "untrusted",
  words: `signature of ${what} by none of the trusted keys`,
});

export const unchecked = (what: string): SignatureCheck => ({
  outcome: "unchecked",
  words: `signature of ${what} that was not checked, because no key is trusted`,
});

export const unknownAlgorithm = (algorithm: string): SignatureCheck => ({
  outcome: "untrusted",
  words: `signature by ${algorithm}, which is not known here`,
});

export const invalid = (words: string): SignatureCheck => ({ outcome: "invalid", words });
