/** Runs the tools that the build needs, so that a failure tells which one, why, and what to do. */
import { createInterface } from "node:readline";
import { execa, ExecaError } from "execa";
import { MicroVmError, systemErrorCode } from "../errors.js";

const EVIDENCE_LINES = 20;

export interface RunOptions {
  cwd?: string;
  /** Added to this process's environment; undefined takes a variable out. */
  env?: Record<string, string | undefined>;
  signal?: AbortSignal | undefined;
  /** Gets each line of stderr as it comes. */
  onStderr?: ((line: string) => void) | undefined;
  /** Appended to a failure's message: what to do about it. */
  hint: string;
}

/**
 * Runs a command to its end and returns its stdout.
 * @throws MicroVmError `ApplianceBuild` with the end of stderr; `Cancelled` when the signal came.
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<Buffer> {
  const { cwd, env, signal, onStderr, hint } = options;
  try {
    const subprocess = execa(command, args, {
      ...(cwd === undefined ? {} : { cwd }),
      ...(signal === undefined ? {} : { cancelSignal: signal }),
      // Messages are shown to the user, and apt's are parsed.
      env: { ...env, LC_ALL: "C" },
      stdin: "ignore",
      encoding: "buffer",
      stripFinalNewline: false,
    });
    if (onStderr) {
      createInterface({ input: subprocess.stderr }).on("line", onStderr);
    }
    const { stdout } = await subprocess;
    return Buffer.from(stdout);
  } catch (cause) {
    throw cause instanceof ExecaError ? failure(command, cause as ExecaError, hint) : cause;
  }
}

function failure(command: string, error: ExecaError, hint: string): MicroVmError {
  if (error.isCanceled) return new MicroVmError("Cancelled", "The build was stopped.", { cause: error });
  const message =
    systemErrorCode(error) === "ENOENT" ? `There is no command ${command}.` : `${error.shortMessage}.`;
  const evidence = Buffer.from((error.stderr as Uint8Array | undefined) ?? [])
    .toString()
    .trim()
    .split("\n")
    .slice(-EVIDENCE_LINES)
    .join("\n");
  return new MicroVmError("ApplianceBuild", message, { hint, evidence, cause: error });
}
