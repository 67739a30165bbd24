/** What stands behind the deleted ids of a manifest: the file's identity, and in signed stores each segment's hash. */
import type { Source } from "../source.js";
import type { Manifest } from "./manifest.js";

/** "IDIF" and a FileIdentity of 68 bytes. */
const IDENTITY = { magic: "IDIF", bytes: 4 + 68 };
/** "SHDG", a count, and so many of u64 id and 16 bytes of SHAKE-256-128. */
const HASHES = { magic: "SHDG", bytes: 8, entryBytes: 24 };

/** Whether the manifest is one of a signed store, as far as it says itself. */
export async function hasSegmentHashes(source: Source, { trailer }: Manifest): Promise<boolean> {
  const head = await source.at(trailer.start, Math.min(trailer.length, IDENTITY.bytes + HASHES.bytes));
  return hashesAt(head) !== undefined;
}

/** The one hash that the trailer lists for a segment; undefined where none is, several are, or the list is malformed. */
export function listedHash(trailer: Buffer, id: bigint): string | undefined {
  const at = hashesAt(trailer);
  if (at === undefined) return undefined;
  const list = trailer.subarray(at + HASHES.bytes);
  if (trailer.readUInt32LE(at + 4) * HASHES.entryBytes !== list.length) return undefined;
  const found: string[] = [];
  for (let entry = 0; entry < list.length; entry += HASHES.entryBytes)
    if (list.readBigUInt64LE(entry) === id) found.push(list.toString("hex", entry + 8, entry + 24));
  return found.length === 1 ? found[0] : undefined;
}

function hashesAt(trailer: Buffer): number | undefined {
  const magicAt = (at: number): string => trailer.toString("latin1", at, at + 4);
  const at = magicAt(0) === IDENTITY.magic ? IDENTITY.bytes : 0;
  return at + HASHES.bytes <= trailer.length && magicAt(at) === HASHES.magic ? at : undefined;
}
