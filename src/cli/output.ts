/** How the command speaks: text for people, one JSON document for programs, and errors in one shape. */
import { describeError, MicroVmError } from "../errors.js";
import { inFlags } from "./flags.js";

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

const styles = { red: [31, 39], yellow: [33, 39], dim: [2, 22] } as const;

/** In colour where the stream is a terminal that shows it; Node heeds NO_COLOR, NODE_DISABLE_COLORS, FORCE_COLOR and TERM. */
export function painted(
  stream: { isTTY?: boolean; hasColors?(): boolean },
  style: keyof typeof styles,
  text: string,
): string {
  const [on, off] = styles[style];
  return stream.isTTY && stream.hasColors?.() ? `\u001B[${on}m${text}\u001B[${off}m` : text;
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
    const words = known ? describeError(known) : ((error as Error).stack ?? String(error));
    note(words.replace(/^\w+/, (code) => painted(process.stderr, "red", code)));
  }
  return known?.code === "InvalidArgument" ? 2 : 1;
}

/** The error as the catalogue has it; undefined for one that nobody foresaw. */
function catalogued(error: unknown): MicroVmError | undefined {
  if (error instanceof MicroVmError) return inFlagsOf(error);
  // Node's errors of system calls, and only those, have a number.
  const { errno, message } = error as NodeJS.ErrnoException;
  return typeof errno === "number" ? new MicroVmError("Io", message, { cause: error }) : undefined;
}

/** The input it is about is an option here. */
const inFlagsOf = ({ code, message, evidence, hint }: MicroVmError): MicroVmError =>
  new MicroVmError(code, inFlags(message), {
    ...(evidence !== undefined && { evidence }),
    ...(hint !== undefined && { hint: inFlags(hint) }),
  });

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
