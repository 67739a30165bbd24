/** How the command speaks: text for people, one JSON document for programs, and errors in one shape. */
import { describeError, MicroVmError } from "../errors.js";

export interface JsonOption {
  json?: boolean;
}

/** Prints the value as JSON, or the text made of it. */
export function print<T>(value: T, { json }: JsonOption, text: (value: T) => string): void {
  process.stdout.write(`${json ? JSON.stringify(value, null, 2) : text(value)}\n`);
}

/** Progress and warnings go to stderr, so that stdout stays one document. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Prints the error and returns the exit status: 2 for wrong usage, 1 for everything else. */
export function reportFailure(error: unknown, { json }: JsonOption): number {
  const known = catalogued(error);
  if (json) {
    const { message, hint } = known ?? (error as MicroVmError);
    const code = known?.code ?? "Unexpected";
    note(JSON.stringify({ error: { code, message, ...(hint !== undefined && { hint }) } }));
  } else {
    // A fault of this program's own: where it is helps whoever is to mend it.
    note(known ? describeError(known) : ((error as Error).stack ?? String(error)));
  }
  return known?.code === "InvalidArgument" ? 2 : 1;
}

/** The error as the catalogue has it; undefined for one that nobody foresaw. */
function catalogued(error: unknown): MicroVmError | undefined {
  if (error instanceof MicroVmError) return error;
  // Node's errors of system calls, and only those, have a number.
  const { errno, message } = error as NodeJS.ErrnoException;
  return typeof errno === "number" ? new MicroVmError("Io", message, { cause: error }) : undefined;
}

/** Columns as wide as their widest cell. */
export function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** `label: value` lines, the values aligned. */
export function fields(entries: [label: string, value: string | number | undefined][]): string {
  const shown = entries.filter(([, value]) => value !== undefined && value !== "");
  const width = Math.max(...shown.map(([label]) => label.length)) + 1;
  return shown.map(([label, value]) => `${`${label}:`.padEnd(width)} ${value}`).join("\n");
}
