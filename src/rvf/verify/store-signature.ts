/** The signature of a whole store: a page at its end signs for the manifest, the manifest lists each segment's hash. */
import { verify, type KeyObject } from "node:crypto";
import { createCRC32 } from "hash-wasm";
import type { Manifest } from "../format/manifest.js";
import { ROOT_PAGE_CHECKSUM_AT, signedBytesOf, type RootPage } from "../format/root-page.js";
import { SEGMENT_HEADER_BYTES, type SegmentHeader } from "../format/segment.js";
import type { Store } from "../format/store.js";
import { digestOf, shake256 } from "../hash.js";
import type { Source } from "../source.js";
import { fingerprint } from "./keys.js";
import { invalid, unchecked, validBy, type SignatureCheck } from "./signature-check.js";

/** In the root page; a SignatureFooter has 0 for the same. */
const ED25519 = 1;
/** The reflected polynomial of CRC-32C (Castagnoli). */
const CASTAGNOLI = 0x82f63b78;
/** "IDIF" and a FileIdentity of 68 bytes; then "SHDG", a count, and that many of u64 id and 16 bytes of hash. */
const IDENTITY = { magic: "IDIF", bytes: 4 + 68 };
const HASHES = { magic: "SHDG", bytes: 8, entryBytes: 24 };
const SHAKE_256_128 = 2;

/** Undefined for a store that does not say it is signed. */
export async function checkStoreSignature(
  source: Source,
  { rootPage, manifest, tail }: Store,
  kernel: SegmentHeader,
  keys: readonly KeyObject[],
): Promise<SignatureCheck | undefined> {
  const listed = await listedHash(source, manifest, kernel.id);
  const says = rootPage !== undefined && rootPage.signatureAlgorithm !== 0;
  if (!says)
    return listed ? invalid("the store lists signed hashes, but its signature is missing") : undefined;
  const flaw =
    (await flawOfPage(rootPage)) ??
    (await flawOfManifest(source, rootPage, manifest)) ??
    (tail.length > 0 ? "segments follow the store's signed manifest" : undefined);
  if (flaw) return invalid(flaw);
  // The hash in the kernel's own header was compared with its payload before; here it is compared with the signed one.
  if (kernel.checksumAlgorithm !== SHAKE_256_128 || listed?.toString("hex") !== kernel.contentHash)
    return invalid("the kernel is not the one that the store's signature is for");
  if (keys.length === 0) return unchecked("the store");
  return checkSigner(rootPage, keys);
}

function checkSigner(page: RootPage, keys: readonly KeyObject[]): SignatureCheck {
  const signer = keys.find((key) => fingerprint(key) === page.signer.toString("hex"));
  if (!signer)
    return { outcome: "untrusted", words: `signature of the store by key ${page.signer.toString("hex")}` };
  return verify(null, signedBytesOf(page), signer, page.signature)
    ? validBy("the store", signer)
    : invalid("the store's signature is false");
}

async function flawOfPage(page: RootPage): Promise<string | undefined> {
  const crc = (await createCRC32(CASTAGNOLI)).init().update(page.bytes.subarray(0, ROOT_PAGE_CHECKSUM_AT));
  if (parseInt(crc.digest("hex"), 16) !== page.checksum) return "the store's root page is damaged";
  if (page.signatureAlgorithm !== ED25519 || page.signatureBytes !== page.signature.length)
    return "the store's signature is of an unknown kind";
  return undefined;
}

async function flawOfManifest(
  source: Source,
  page: RootPage,
  { segment }: Manifest,
): Promise<string | undefined> {
  const digest = await digestOf(source, segment.payload, shake256(128));
  const same =
    page.manifest.start === segment.offset &&
    page.manifest.length === SEGMENT_HEADER_BYTES + segment.payload.length &&
    (page.manifestId === 0n || page.manifestId === segment.id) &&
    page.manifestHash.equals(digest);
  return same ? undefined : "the store's signature is for another manifest";
}

/** The hash that a signed manifest lists for a segment. */
async function listedHash(source: Source, { trailer }: Manifest, id: bigint): Promise<Buffer | undefined> {
  let { start, length } = trailer;
  const magic = async (): Promise<string> =>
    length < HASHES.bytes ? "" : (await source.at(start, 4)).toString("latin1");
  if (length >= IDENTITY.bytes && (await magic()) === IDENTITY.magic) {
    start += IDENTITY.bytes;
    length -= IDENTITY.bytes;
  }
  if ((await magic()) !== HASHES.magic) return undefined;
  const count = (await source.at(start + 4, 4)).readUInt32LE();
  if (HASHES.bytes + HASHES.entryBytes * count !== length) return undefined;
  const entries = await source.at(start + HASHES.bytes, HASHES.entryBytes * count);
  for (let at = 0; at < entries.length; at += HASHES.entryBytes)
    if (entries.readBigUInt64LE(at) === id)
      return Buffer.from(entries.subarray(at + 8, at + HASHES.entryBytes));
  return undefined;
}
