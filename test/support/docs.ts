/** What the documents say, for tests that hold the code to it. */
import { readFile } from "node:fs/promises";

const read = (file: string): Promise<string> => readFile(new URL(`../../${file}`, import.meta.url), "utf8");

/** The names in the first column of the first table below a heading. */
export const firstColumn = async (file: string, heading: string): Promise<string[]> =>
  (await firstTwoColumns(file, heading)).map(([name]) => name);

/** With what the second one says of each. */
export async function firstTwoColumns(file: string, heading: string): Promise<[string, string][]> {
  const text = await read(file);
  if (!text.includes(heading)) throw new Error(`${file} has no "${heading}".`);
  const section = text.slice(text.indexOf(heading) + heading.length).split(/\n#/)[0]!;
  return [...section.matchAll(/^\| `(\w+)` +\| (.*?) +\|/gm)].map(([, name = "", says = ""]) => [name, says]);
}

/** The fields of a subcommand's JSON document that docs/command.md does not tell of. */
export async function untold(document: object, subcommands: string): Promise<string[]> {
  const told = await firstColumn("docs/command.md", `\n### JSON of ${subcommands}\n`);
  return Object.keys(document).filter((field) => !told.includes(field));
}

/** The subcommands of which docs/command.md says what they print as JSON. */
export async function subcommandsWithJson(): Promise<string[]> {
  const headings = (await read("docs/command.md")).matchAll(/^### JSON of (.*)$/gm);
  return [...headings].flatMap(([, names]) => [...names!.matchAll(/`([a-z-]+)`/g)].map((match) => match[1]!));
}

export interface HeldBy {
  /** What the row is about: its first column. */
  row: string;
  /** For example `launcher/plan`. */
  room: string;
  /** A part of a test's name, or of a row of its table. */
  test: string;
}

/** The rows of a table below a heading whose last column names a test. */
export async function heldBy(file: string, heading: string): Promise<HeldBy[]> {
  const text = await read(file);
  const section = text.slice(text.indexOf(heading) + heading.length).split(/\n## /)[0]!;
  return [...section.matchAll(/^\| (.+?) +\|.*\| `(\S+)` "(.+)" +\|$/gm)].map(
    ([, row = "", room = "", test = ""]) => ({ row, room, test }),
  );
}

/** The source of a test file, by its room: `launcher/plan` may be the unit's or the integration's, or both. */
export async function testSource(room: string): Promise<string> {
  const kinds = [`test/${room}.test.ts`, `test/${room}.integration.test.ts`];
  const sources = await Promise.all(kinds.map((file) => read(file).catch(() => "")));
  return sources.join("\n");
}
