/** Runs the tools that the build needs, so that a failure tells which one, why, and what to do. */
import { createInterface } from "node:readline";
import type { ExecaError } from "execa";
import { MicroVmError, systemErrorCode } from "../errors.js";

const EVIDENCE_LINES = 20;

export interface RunOptions {
  cwd?: string;
  /** Added to this process's environment; undefined takes a variable out. */
  env?: Record<string, string | undefined>;
  signal?: AbortSignal | undefined;
  /** Gets each line of output as it comes. */
  onLine?: ((line: string) => void) | undefined;
  /** A file that gets all the output appended, and is named in a failure. */
  log?: string | undefined;
  /** Appended to a failure's message: what to do about it. */
  hint: string;
}

/**
 * Runs a command to its end and returns its stdout.
 * @throws MicroVmError `ApplianceBuild` with the end of stderr, or of stdout where that is empty; `Cancelled` when the signal came.
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<Buffer> {
  const { cwd, env, signal, onLine, log } = options;
  // Loaded for a build alone, of which most who import this make none.
  const execa = await import("execa");
  const output = log === undefined ? "pipe" : (["pipe", { file: log, append: true }] as const);
  try {
    const subprocess = execa.execa(command, args, {
      ...(cwd === undefined ? {} : { cwd }),
      ...(signal === undefined ? {} : { cancelSignal: signal }),
      // Messages are shown to the user, and apt's are parsed.
      env: { ...env, LC_ALL: "C" },
      stdin: "ignore",
      stdout: output,
      stderr: output,
      all: onLine !== undefined,
      encoding: "buffer",
      stripFinalNewline: false,
    });
    if (onLine) createInterface({ input: subprocess.all! }).on("line", onLine);
    const { stdout } = await subprocess;
    return Buffer.from(stdout);
  } catch (cause) {
    throw cause instanceof execa.ExecaError ? failure(command, cause as ExecaError, options) : cause;
  }
}

function failure(command: string, error: ExecaError, { hint, log }: RunOptions): MicroVmError {
  if (error.isCanceled) return new MicroVmError("Cancelled", "The build was stopped.", { cause: error });
  const message =
    systemErrorCode(error) === "ENOENT" ? `There is no command ${command}.` : `${error.shortMessage}.`;
  const said = (textOf(error.stderr) || textOf(error.stdout)).split("\n").slice(-EVIDENCE_LINES);
  const evidence = [...said, ...(log === undefined ? [] : [`All of it is in ${log}.`])].join("\n");
  return new MicroVmError("ApplianceBuild", message, { hint, evidence, cause: error });
}

const textOf = (output: unknown): string =>
  Buffer.from((output as Uint8Array | undefined) ?? [])
    .toString()
    .trim();
