/**
 * Writes a cpio archive of the "newc" kind, the one the Linux kernel unpacks as initramfs (kernel documentation,
 * "initramfs buffer format"): a header of 110 ASCII bytes, the name, the data, each padded to 4 bytes.
 */

const MAGIC = "070701";
const TRAILER = "TRAILER!!!";
const ALIGNMENT = 4;
const DIRECTORY = 0o040000;
const REGULAR_FILE = 0o100000;
const CHARACTER_DEVICE = 0o020000;

/** `path` has no leading slash; parents come before what lies in them. All belongs to root. */
export type CpioEntry =
  | { kind: "directory"; path: string; mode: number }
  | { kind: "file"; path: string; mode: number; data: Uint8Array }
  | { kind: "character-device"; path: string; mode: number; major: number; minor: number };

/** The archive's bytes. The same entries give the same bytes: times are 0, inode numbers count from 1. */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const members = entries.map((entry, index) => member(entry, index + 1));
  const trailer = member({ kind: "file", path: TRAILER, mode: 0, data: new Uint8Array() }, 0);
  return Buffer.concat([...members, trailer].flat());
}

function member(entry: CpioEntry, inode: number): Buffer[] {
  const name = Buffer.from(`${entry.path}\0`);
  const data = entry.kind === "file" ? entry.data : new Uint8Array();
  const fields = [
    inode,
    entry.path === TRAILER ? 0 : typeBits(entry) | entry.mode,
    0, // uid
    0, // gid
    entry.kind === "directory" ? 2 : 1, // links
    0, // mtime
    data.length,
    0, // major and minor of the file system it was taken from
    0,
    entry.kind === "character-device" ? entry.major : 0,
    entry.kind === "character-device" ? entry.minor : 0,
    name.length,
    0, // checksum, used by another kind of cpio
  ];
  const header = Buffer.from(MAGIC + fields.map((field) => field.toString(16).padStart(8, "0")).join(""));
  return [padded([header, name]), padded([data])];
}

function typeBits(entry: CpioEntry): number {
  switch (entry.kind) {
    case "directory":
      return DIRECTORY;
    case "file":
      return REGULAR_FILE;
    case "character-device":
      return CHARACTER_DEVICE;
  }
}

function padded(parts: Uint8Array[]): Buffer {
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & (ALIGNMENT - 1))]);
}
