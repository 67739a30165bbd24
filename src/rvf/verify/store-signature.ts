/** The signature of a whole store: a page at its end signs for the manifest, the manifest lists each segment's hash. */
import { verify, type KeyObject } from "node:crypto";
import { createCRC32 } from "hash-wasm";
import type { Manifest } from "../format/manifest.js";
import { ROOT_PAGE_CHECKSUM_AT, signedBytesOf, type RootPage } from "../format/root-page.js";
import { SEGMENT_HEADER_BYTES, type SegmentHeader } from "../format/segment.js";
import type { Store } from "../format/store.js";
import { hasSegmentHashes, listedHash } from "../format/trailer.js";
import { shake256 } from "../hash.js";
import type { Source } from "../source.js";
import { fingerprint } from "./keys.js";
import { invalid, unchecked, validBy, type SignatureCheck } from "./signature-check.js";

/** In the root page; a SignatureFooter has 0 for the same. */
const ED25519 = 1;
/** The reflected polynomial of CRC-32C (Castagnoli). */
const CASTAGNOLI = 0x82f63b78;
const SHAKE_256_128 = 2;
/** Directory and hashes of the most segments there can be are 5 MiB; the rest is for ids of deleted vectors. */
const MAX_MANIFEST = 16 * 1024 * 1024;

/** Undefined for a store that does not say it is signed. */
export async function checkStoreSignature(
  source: Source,
  { rootPage, manifest, tail }: Store,
  kernel: SegmentHeader,
  keys: readonly KeyObject[],
): Promise<SignatureCheck | undefined> {
  if (rootPage === undefined || rootPage.signatureAlgorithm === 0)
    return (await hasSegmentHashes(source, manifest))
      ? invalid("the store lists signed hashes, but its signature is missing")
      : undefined;
  const flaw = (await flawOfPage(rootPage)) ?? (await flawOfManifest(source, rootPage, manifest, kernel));
  if (flaw) return invalid(flaw);
  if (tail.length > 0) return invalid("segments follow the store's signed manifest");
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
  { segment, directory, trailer }: Manifest,
  kernel: SegmentHeader,
): Promise<string | undefined> {
  const { start, length } = segment.payload;
  if (length > MAX_MANIFEST) return "the store's manifest is too large to be verified";
  // Read once: what is hashed is what is looked at.
  const payload = Buffer.from(await source.at(start, length));
  const hash = shake256(128);
  hash.update(payload);
  const same =
    page.manifest.start === segment.offset &&
    page.manifest.length === SEGMENT_HEADER_BYTES + length &&
    (page.manifestId === 0n || page.manifestId === segment.id) &&
    page.manifestHash.equals(hash.digest()) &&
    directory.isIn(payload);
  if (!same) return "the store's signature is for another manifest";
  const listed = listedHash(payload.subarray(trailer.start - start), kernel.id);
  // The hash in the kernel's own header is compared with its payload elsewhere; here it is compared with the signed one.
  return kernel.checksumAlgorithm === SHAKE_256_128 && listed !== undefined && listed === kernel.contentHash
    ? undefined
    : "the kernel is not the one that the store's signature is for";
}
