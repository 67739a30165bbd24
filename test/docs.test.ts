import { readFile } from "node:fs/promises";
import { errorCodes } from "../src/errors.js";
import { specKeys } from "../src/launcher/spec.js";
import { outputsOf } from "../src/provider/inputs.js";
import type { VmStatus } from "../src/launcher/status.js";

/** The names in the first column of the first table below a heading. */
async function firstColumn(file: string, heading: string): Promise<string[]> {
  const text = await readFile(new URL(`../${file}`, import.meta.url), "utf8");
  const section = text.slice(text.indexOf(heading) + heading.length).split(/\n#/)[0]!;
  return [...section.matchAll(/^\| `(\w+)` /gm)].map((match) => match[1]!);
}

describe("documents and code agree", () => {
  test("docs/errors.md lists every code with its meaning", async () => {
    expect(await firstColumn("docs/errors.md", "# Errors")).toEqual(Object.keys(errorCodes));
    const text = await readFile(new URL("../docs/errors.md", import.meta.url), "utf8");
    for (const meaning of Object.values(errorCodes)) expect(text).toContain(meaning);
  });

  test("README lists every input", async () => {
    expect(await firstColumn("README.md", "### Inputs")).toEqual(specKeys);
  });

  test("README lists every output", async () => {
    expect(await firstColumn("README.md", "### Outputs")).toEqual(Object.keys(outputsOf({} as VmStatus)));
  });
});
