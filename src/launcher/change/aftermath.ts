/** What a failed update's error says of the VM that it was about: who reads why the new one failed wonders about the old one. */
import { MicroVmError } from "../../errors.js";

export const goesOn = "The VM goes on serving as it was before this update.";

export const unreached =
  "The VM runs as it was before this update, but a port of it could not be opened again: `pulumi up` mends it once that port is free.";

export function withHint(error: unknown, more: string): unknown {
  if (!(error instanceof MicroVmError)) return error;
  const hint = [error.hint, more].filter(Boolean).join(" ");
  return new MicroVmError(error.code, error.message, { ...error, hint, cause: error });
}
