/** The small seed files in the repository. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fromRepository } from "../../../tools/setup/repository.js";

const folder = fromRepository("test/rvf/corpus");

export const corpus = (): { name: string; bytes: Buffer }[] =>
  (seeds ??= readdirSync(folder)
    .filter((name) => name.endsWith(".rvf"))
    .sort()
    .map((name) => ({ name, bytes: readFileSync(join(folder, name)) })));

let seeds: { name: string; bytes: Buffer }[] | undefined;
