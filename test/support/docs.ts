/** What the documents say, for tests that hold the code to it. */
import { readFile } from "node:fs/promises";

const read = (file: string): Promise<string> => readFile(new URL(`../../${file}`, import.meta.url), "utf8");

/** The names in the first column of the first table below a heading. */
export async function firstColumn(file: string, heading: string): Promise<string[]> {
  const text = await read(file);
  if (!text.includes(heading)) throw new Error(`${file} has no "${heading}".`);
  const section = text.slice(text.indexOf(heading) + heading.length).split(/\n#/)[0]!;
  return [...section.matchAll(/^\| `(\w+)` /gm)].map((match) => match[1]!);
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
