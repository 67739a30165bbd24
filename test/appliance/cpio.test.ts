import { cpio, type CpioEntry } from "../../src/appliance/cpio.js";
import { parseCpio } from "./parse-cpio.js";

const entries: CpioEntry[] = [
  { kind: "directory", path: "dev", mode: 0o755 },
  { kind: "character-device", path: "dev/null", mode: 0o666, major: 1, minor: 3 },
  ...[0, 1, 2, 3, 4, 5].map((size): CpioEntry => {
    return { kind: "file", path: `f${"x".repeat(size)}`, mode: 0o644, data: Buffer.alloc(size, "a") };
  }),
  { kind: "file", path: "init", mode: 0o755, data: Buffer.from("\x7fELF") },
];

test("holds every entry with its type, mode and data, whatever the lengths", () => {
  const members = parseCpio(cpio(entries));
  expect(members.map(({ path }) => path)).toEqual(entries.map(({ path }) => path));
  expect(members.map(({ mode }) => mode.toString(8))).toEqual([
    "40755",
    "20666",
    ...Array<string>(6).fill("100644"),
    "100755",
  ]);
  expect(members.map(({ data }) => data.length)).toEqual([0, 0, 0, 1, 2, 3, 4, 5, 4]);
  expect(members[1]?.device).toEqual([1, 3]);
  expect(members.at(-1)?.data).toEqual(Buffer.from("\x7fELF"));
});

test("belongs to root, has no times, and numbers its members", () => {
  const members = parseCpio(cpio(entries));
  expect(members.every(({ uid, gid, mtime }) => uid === 0 && gid === 0 && mtime === 0)).toBe(true);
  expect(members.map(({ inode }) => inode)).toEqual(entries.map((_, index) => index + 1));
});

test("gives the same bytes for the same entries", () => {
  expect(cpio(entries)).toEqual(cpio(structuredClone(entries)));
});

test("an empty archive is a trailer", () => {
  expect(parseCpio(cpio([]))).toEqual([]);
});
