import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasOutput, printable, tailLines } from "../../../src/launcher/evidence/console.js";

let dir: string;
beforeAll(async () => (dir = await mkdtemp(join(tmpdir(), "console-"))));
afterAll(() => rm(dir, { recursive: true }));

test.each([
  ["plain text", "a\nb", "a\nb"],
  ["carriage returns", "a\r\nb\r\n", "a\nb"],
  ["a firmware's clear and cursor moves", "\x1bc\x1b[?7l\x1b[2J\x1b[1;1HSeaBIOS\x1b[0m", "SeaBIOS"],
  ["a tab, kept; a bell, NUL and DEL, dropped", "a\tb\x07\x00\x7fc", "a\tbc"],
  ["a link that a terminal would follow", "\x1b]8;;http://x\x07click\x1b]8;;\x07", "click"],
  ["runs of empty lines", "\n\na\n\n\nb\n", "a\nb"],
  ["text beyond ASCII", "grün ☃", "grün ☃"],
])("%s", (_, text, expected) => expect(printable(text)).toBe(expected));

test("the last lines of a file", async () => {
  const path = join(dir, "log");
  await writeFile(path, Array.from({ length: 5000 }, (_, i) => `line ${i}`).join("\n"));
  expect(await tailLines(path, 2)).toBe("line 4998\nline 4999");
  expect((await tailLines(path)).split("\n")).toHaveLength(15);
});

test("a console without line ends costs 8 KiB, not its whole size", async () => {
  const path = join(dir, "flood");
  await writeFile(path, "");
  for (let i = 0; i < 4; i++) await appendFile(path, "x".repeat(1 << 20));
  expect(await tailLines(path)).toHaveLength(8192);
});

test("no file: no lines, no content", async () => {
  expect(await tailLines(join(dir, "none"))).toBe("");
  expect(hasOutput(join(dir, "none"))).toBe(false);
  await writeFile(join(dir, "empty"), "");
  expect(hasOutput(join(dir, "empty"))).toBe(false);
  await writeFile(join(dir, "byte"), "\0");
  expect(hasOutput(join(dir, "byte"))).toBe(true);
});
