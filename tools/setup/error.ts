/** A part of the set-up that could not be had, told to a person. */
export interface SetupErrorOptions {
  /** What to do, as one command or sentence. */
  hint?: string;
  /** The last lines of what failed. */
  evidence?: string;
  cause?: unknown;
}

export class SetupError extends Error {
  readonly hint?: string;
  readonly evidence?: string;

  constructor(message: string, { hint, evidence, cause }: SetupErrorOptions = {}) {
    super(message, { cause });
    this.name = "SetupError";
    if (hint !== undefined) this.hint = hint;
    if (evidence !== undefined) this.evidence = evidence;
  }
}

/** The whole story: the message, the last lines indented, what to do. `MicroVmError` has the same fields. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { hint, evidence } = error as SetupError;
  const parts = [error.message, evidence?.trimEnd().replace(/^/gm, "  | "), hint];
  return parts.filter((part) => part !== undefined && part !== "").join("\n");
}
