/** What the long suites (faults, kill-points) are told on their command lines, and how they count. */
import { InvalidArgumentError } from "commander";
import { taskCommand } from "./task.js";

export interface SuiteOrder {
  count: number;
  seed: number;
  only: string;
}

/**
 * `npm run <name> -- --<what> N --seed S --only TEXT`, where `names` are what TEXT may be part of. Ends the process with the usage where
 * that is asked for, with status 2 where something is wrong.
 */
export function orderOf(
  { name, does, what, count }: { name: string; does: string; what: string; count: number },
  names: readonly string[],
): SuiteOrder {
  const values = taskCommand(name, does)
    .option(`--${what} <n>`, "how many", wholeNumber, count)
    .option("--seed <n>", "what chance follows from (default: another each time)", wholeNumber)
    .option("--only <text>", "only those with this text in their names (default: all)", partOf(names))
    .parse()
    .opts<Record<string, number> & { seed?: number; only?: string }>();
  return { count: values[what]!, seed: values.seed ?? Date.now() % 1_000_000, only: values.only ?? "" };
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number.");
}

const partOf = (names: readonly string[]) => (text: string) => {
  if (names.some((name) => name.includes(text))) return text;
  throw new InvalidArgumentError(`It is in no name. There are:\n${names.join("\n")}`);
};

/** Columns of which all but the first hold numbers. */
export function countTable(rows: [string, ...unknown[]][]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows
    .map(([name, ...numbers]) =>
      [name.padEnd(width), ...numbers.map((number) => String(number).padStart(10))].join(" "),
    )
    .join("\n");
}

/** Fires when the user has had enough. */
export function interruption(): AbortSignal {
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => interrupted.abort());
  return interrupted.signal;
}
