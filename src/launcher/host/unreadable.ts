import { fileNotFound, isMissing, MicroVmError } from "../../errors.js";

/** The error for a file that could not be read: FileNotFound where there is none, else Io. */
export function unreadable(path: string, cause: unknown, property?: string): MicroVmError {
  const options = { cause, ...(property !== undefined && { property }) };
  return isMissing(cause)
    ? fileNotFound(path, options)
    : new MicroVmError("Io", `cannot read ${path}: ${(cause as Error).message}`, options);
}
