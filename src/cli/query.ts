import { type Command, InvalidArgumentError } from "commander";
import { query } from "../client/index.js";
import { attach } from "../launcher/index.js";
import { print, table, type JsonOption } from "./output.js";
import { wholeNumber } from "./spec-options.js";

interface QueryOptions extends JsonOption {
  vector: number[];
  k: number;
}

/** The most that rvf-server gives, and the appliance as it does. */
const MOST = 10_000;

/** `microvm query ID|URL`: the nearest neighbours of one vector. */
export function addQuery(program: Command): void {
  program
    .command("query")
    .description("ask a VM for the nearest neighbours of a vector")
    .argument("<id|url>", "id or name of a VM, or the base URL of its API")
    .requiredOption("-v, --vector <json>", "the vector, as a JSON array of numbers", vector)
    .option("-k <n>", `how many neighbours, up to ${MOST}`, neighbours, 10)
    .option("--json", "print JSON")
    .action(async (target: string, options: QueryOptions) => {
      const found = /^\w+:\/\//.test(target)
        ? await query(target.replace(/\/+$/, ""), options.vector, options.k)
        : await (await attach(target)).query(options.vector, options.k);
      print(found, options, () =>
        table([["ID", "DISTANCE"], ...found.map(({ id, distance }) => [String(id), String(distance)])]),
      );
    });
}

function neighbours(text: string): number {
  const k = wholeNumber(text);
  if (k >= 1 && k <= MOST) return k;
  throw new InvalidArgumentError(`It must be from 1 to ${MOST}.`);
}

function vector(text: string): number[] {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((x) => typeof x === "number")) return value;
  } catch {
    // Said below, as for any other text that is no vector.
  }
  throw new InvalidArgumentError("It must be a JSON array of numbers, like '[0.1, 0.2]'.");
}
