/** The little of ELF that tells how a kernel boots: its machine and the PVH entry note. */
import { readLength, type ByteRange, type Source } from "../source.js";

const PT_NOTE = 4;
/** XEN_ELFNOTE_PHYS32_ENTRY: where QEMU's microvm and other PVH loaders enter the kernel. */
const PVH_NOTE = 18;
/** Kernels have a handful of program headers and notes of some hundred bytes. */
const MAX_PROGRAM_HEADERS = 256;
const MAX_NOTE_BYTES = 64 * 1024;

export const elfMachine = (head: Buffer): number =>
  head[5] === 2 ? head.readUInt16BE(0x12) : head.readUInt16LE(0x12);

/** Whether a little-endian ELF in `range` has the PVH note. */
export async function hasPvhNote(source: Source, range: ByteRange): Promise<boolean> {
  if (range.length < 64) return false;
  const head = await source.at(range.start, 64);
  const wide = head[4] === 2;
  const tableStart = wide ? readLength(head, 0x20) : head.readUInt32LE(0x1c);
  const entryBytes = head.readUInt16LE(wide ? 0x36 : 0x2a);
  const entries = Math.min(head.readUInt16LE(wide ? 0x38 : 0x2c), MAX_PROGRAM_HEADERS);
  if (entryBytes < (wide ? 56 : 32) || tableStart + entryBytes * entries > range.length) return false;

  for (let index = 0; index < entries; index++) {
    const entry = await source.at(range.start + tableStart + index * entryBytes, wide ? 56 : 32);
    if (entry.readUInt32LE(0) !== PT_NOTE) continue;
    const start = wide ? readLength(entry, 0x08) : entry.readUInt32LE(0x04);
    const size = wide ? readLength(entry, 0x20) : entry.readUInt32LE(0x10);
    const length = Math.min(size, MAX_NOTE_BYTES, range.length - start);
    if (length > 0 && notesHavePvh(await source.at(range.start + start, length))) return true;
  }
  return false;
}

/** Notes follow one another: u32 name size, u32 description size, u32 type, both parts padded to 4. */
function notesHavePvh(notes: Buffer): boolean {
  const pad = (length: number): number => Math.ceil(length / 4) * 4;
  for (let at = 0; at + 12 <= notes.length;) {
    const nameBytes = notes.readUInt32LE(at);
    const name = notes.toString("latin1", at + 12, at + 12 + nameBytes);
    if (name === "Xen\0" && notes.readUInt32LE(at + 8) === PVH_NOTE) return true;
    at += 12 + pad(nameBytes) + pad(notes.readUInt32LE(at + 4));
  }
  return false;
}
