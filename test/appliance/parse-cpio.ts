/** A reader of "newc" archives, so that the writer is not judged by itself. */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";

export interface CpioMember {
  path: string;
  inode: number;
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  device: [number, number];
  data: Buffer;
}

/** What is in an appliance's initramfs, which is packed with gzip or not at all. */
export const parseInitramfs = (initramfs: Buffer): CpioMember[] =>
  parseCpio(initramfs.readUInt16BE(0) === 0x1f8b ? gunzipSync(initramfs) : initramfs);

export function parseCpio(archive: Buffer): CpioMember[] {
  const members: CpioMember[] = [];
  let at = 0;
  for (;;) {
    assert.equal(at % 4, 0, "a header is not aligned");
    assert.equal(archive.toString("latin1", at, at + 6), "070701");
    const field = (index: number): number => {
      const text = archive.toString("latin1", at + 6 + index * 8, at + 14 + index * 8);
      assert.match(text, /^[0-9a-f]{8}$/);
      return parseInt(text, 16);
    };
    const nameEnd = at + 110 + field(11);
    assert.equal(archive[nameEnd - 1], 0, "a name is not terminated");
    const path = archive.toString("utf8", at + 110, nameEnd - 1);
    const start = Math.ceil(nameEnd / 4) * 4;
    const end = start + field(6);
    assert(end <= archive.length, "the archive is cut short");
    if (path === "TRAILER!!!") {
      assert.equal(start, archive.length, "something follows the trailer");
      return members;
    }
    members.push({
      path,
      inode: field(0),
      mode: field(1),
      uid: field(2),
      gid: field(3),
      mtime: field(5),
      device: [field(9), field(10)],
      data: archive.subarray(start, end),
    });
    at = Math.ceil(end / 4) * 4;
  }
}
