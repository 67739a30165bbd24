/** What the long suites (faults, kill-points) are told on their command lines, and how they count. */
import { parseArgs } from "node:util";

export interface SuiteOrder {
  count: number;
  seed: number;
  only: string;
}

/** `--<what> N --seed S --only TEXT`, where `names` are what TEXT may be part of. Throws where it is wrong. */
export function orderOf(what: string, fallback: number, names: readonly string[]): SuiteOrder {
  const options = {
    [what]: { type: "string", default: String(fallback) },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string", default: "" },
  } as const;
  const values = parseArgs({ args: process.argv.slice(2), options }).values as Record<string, string>;
  const numberOf = (name: string): number => {
    if (/^\d{1,9}$/.test(values[name]!)) return Number(values[name]);
    throw new Error(`--${name} takes a whole number, not "${values[name]}".`);
  };
  const only = values["only"]!;
  if (names.some((name) => name.includes(only)))
    return { count: numberOf(what), seed: numberOf("seed"), only };
  throw new Error(`"${only}" is in no name. There are:\n${names.join("\n")}`);
}

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
