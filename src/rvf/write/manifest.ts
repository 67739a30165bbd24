/** The manifest after the newest one: the same state of the store, and a kernel more. */
import { MicroVmError } from "../../errors.js";
import { ENTRY_BYTES, FIXED_BYTES, type DirectoryEntry, type Manifest } from "../format/manifest.js";
import { KERNEL, WITNESS, type SegmentHeader } from "../format/segment.js";
import type { Source } from "../source.js";
import type { Piece } from "./pieces.js";

const EPOCH_AT = 0;
const COUNT_AT = 14;
const MAX_EPOCH = 0xffff_ffff;

/**
 * The payload, in which all that is not said here is copied as it stands: deleted ids, the file's identity. The witnesses of
 * `tail` are named, too: writers look for the end of their chain in the directory or behind the newest manifest.
 */
export async function nextManifest(
  source: Source,
  { segment, epoch, directory }: Manifest,
  tail: SegmentHeader[],
  kernel: Omit<DirectoryEntry, "type">,
): Promise<Piece[]> {
  if (epoch === MAX_EPOCH)
    throw new MicroVmError("RvfInvalid", `"${source.path}" has used up its epochs.`, { property: "rvfPath" });
  const witnesses = tail
    .filter(({ type }) => type === WITNESS)
    .map((witness) => encodeEntry({ ...witness, payloadLength: witness.payload.length }));
  const { start, length } = segment.payload;
  const fixed = Buffer.from(await source.at(start, FIXED_BYTES));
  fixed.writeUInt32LE(epoch + 1, EPOCH_AT);
  fixed.writeUInt32LE(directory.length + 1 + witnesses.length, COUNT_AT);

  const behind = FIXED_BYTES + ENTRY_BYTES * directory.length;
  const copied = (from: number, to: number): Piece => ({
    source,
    range: { start: start + from, length: to - from },
  });
  // Other readers take the first kernel of the directory for the one to boot.
  const first = encodeEntry({ ...kernel, type: KERNEL });
  return [fixed, first, copied(FIXED_BYTES, behind), ...witnesses, copied(behind, length)];
}

function encodeEntry({ id, offset, payloadLength, type }: DirectoryEntry): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry.writeBigUInt64LE(id, 0);
  entry.writeBigUInt64LE(BigInt(offset), 8);
  entry.writeBigUInt64LE(BigInt(payloadLength), 16);
  entry.writeUInt8(type, 24);
  return entry;
}
