/**
 * The signature of one segment: what is signed, and the footer that carries it. A segment with the flag SIGNED has the
 * footer right behind its payload, not counted in the payload's length; ADR-030 has the same one within the payload.
 */

/** u16 algorithm, u16 length of the signature, the signature, u32 length of the whole footer. */
const FIXED_BYTES = 8;
const ED25519 = 0;
const ED25519_SIGNATURE_BYTES = 64;
/** A footer with an Ed25519 signature. */
export const SIGNATURE_FOOTER_BYTES = FIXED_BYTES + ED25519_SIGNATURE_BYTES;

const algorithms: Readonly<Record<number, string>> = { 0: "Ed25519", 1: "ML-DSA-65", 2: "SLH-DSA-128s" };

export interface SignatureFooter {
  /** Length of the whole footer. */
  bytes: number;
  /** Name of the algorithm. */
  algorithm: string;
  /** Present if it is one of Ed25519, which is the only one verified here. */
  ed25519?: Buffer;
}

export function encodeSignatureFooter(ed25519: Buffer): Buffer {
  const footer = Buffer.alloc(SIGNATURE_FOOTER_BYTES);
  footer.writeUInt16LE(ED25519, 0);
  footer.writeUInt16LE(ED25519_SIGNATURE_BYTES, 2);
  ed25519.copy(footer, 4);
  footer.writeUInt32LE(SIGNATURE_FOOTER_BYTES, 4 + ED25519_SIGNATURE_BYTES);
  return footer;
}

/** Reads the footer at the start of `bytes`; undefined where its lengths contradict each other or what is there. */
export function parseSignatureFooter(bytes: Buffer): SignatureFooter | undefined {
  if (bytes.length < FIXED_BYTES) return undefined;
  const algorithm = bytes.readUInt16LE(0);
  const signatureBytes = bytes.readUInt16LE(2);
  const total = FIXED_BYTES + signatureBytes;
  if (total > bytes.length || bytes.readUInt32LE(total - 4) !== total) return undefined;
  const known = { bytes: total, algorithm: algorithms[algorithm] ?? `number ${algorithm}` };
  if (algorithm !== ED25519) return known;
  if (signatureBytes !== ED25519_SIGNATURE_BYTES) return undefined;
  return { ...known, ed25519: Buffer.from(bytes.subarray(4, 4 + signatureBytes)) };
}

const CONTEXT = Buffer.from("RVF-v1-segment", "latin1");

/**
 * What a segment's signature is over, from its 64-byte header (flags and hash as they stand in the file) and
 * `payloadDigest`, the SHAKE-256-128 of the payload. Of the header the length before compression and that of the padding are left out.
 */
export function segmentMessage(header: Buffer, payloadDigest: Buffer): Buffer {
  const contentHash = header.subarray(0x28, 0x38);
  const segmentId = header.subarray(0x08, 0x10);
  return Buffer.concat([header.subarray(0, 0x28), contentHash, CONTEXT, segmentId, payloadDigest]);
}
