/** The root page of signed stores: the file's last 4096 bytes, which name the manifest and sign for it. */
import { readLength, type ByteRange, type Source } from "../source.js";

export const ROOT_PAGE_BYTES = 4096;
/** "0MVR", the little-endian bytes of 0x52564D30. */
const ROOT_PAGE_MAGIC = Buffer.from("0MVR", "latin1");

export interface RootPage {
  /** Where the page starts in the file. */
  offset: number;
  bytes: Buffer;
  /** The manifest's segment, header included. */
  manifest: ByteRange;
  /** 0 in pages of writers before it was recorded. */
  manifestId: bigint;
  /** SHAKE-256-128 of the manifest's payload. */
  manifestHash: Buffer;
  /** 1 is Ed25519, unlike in a SignatureFooter, where that is 0. */
  signatureAlgorithm: number;
  signatureBytes: number;
  signature: Buffer;
  /** SHAKE-256-128 of the signer's public key. */
  signer: Buffer;
  /** CRC-32C of all bytes before it. */
  checksum: number;
}

/** Where the checksum stands; it covers what is before it. */
export const ROOT_PAGE_CHECKSUM_AT = 0xffc;
const SIGNATURE_AT = 0x9c;
const SIGNATURE_BYTES = 64;

export async function readRootPage(source: Source): Promise<RootPage | undefined> {
  const offset = source.size - ROOT_PAGE_BYTES;
  if (offset < 0) return undefined;
  const bytes = Buffer.from(await source.at(offset, ROOT_PAGE_BYTES));
  if (!bytes.subarray(0, 4).equals(ROOT_PAGE_MAGIC)) return undefined;
  return {
    offset,
    bytes,
    manifest: { start: readLength(bytes, 0x008), length: readLength(bytes, 0x010) },
    manifestId: bytes.readBigUInt64LE(0xff0),
    manifestHash: bytes.subarray(0xfd0, 0xfe0),
    signatureAlgorithm: bytes.readUInt16LE(0x098),
    signatureBytes: bytes.readUInt16LE(0x09a),
    signature: bytes.subarray(SIGNATURE_AT, SIGNATURE_AT + SIGNATURE_BYTES),
    signer: bytes.subarray(0xfe0, 0xff0),
    checksum: bytes.readUInt32LE(ROOT_PAGE_CHECKSUM_AT),
  };
}

/** What the signature is over: the page with the signature itself and the checksum zeroed. */
export function signedBytesOf({ bytes }: RootPage): Buffer {
  const message = Buffer.from(bytes);
  message.fill(0, SIGNATURE_AT, SIGNATURE_AT + SIGNATURE_BYTES);
  message.fill(0, ROOT_PAGE_CHECKSUM_AT);
  return message;
}
