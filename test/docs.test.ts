import { readFile } from "node:fs/promises";
import { errorCodes } from "../src/errors.js";
import { specKeys } from "../src/launcher/spec.js";
import { outputsOf } from "../src/provider/inputs.js";
import type { VmStatus } from "../src/launcher/status.js";
import { run } from "./cli/in-process.js";
import { firstColumn, subcommandsWithJson } from "./support/docs.js";

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

  test("docs/command.md says what every subcommand with --json prints", async () => {
    const { stdout } = await run("--help");
    const names = [...stdout.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map((match) => match[1]!);
    const withJson: string[] = [];
    for (const name of names) {
      if ((await run(name, "--help")).stdout.includes("\n  --json ")) withJson.push(name);
    }
    expect((await subcommandsWithJson()).sort()).toEqual(withJson.sort());
  });
});
