import { MicroVmError, type ErrorCode } from "../../src/errors.js";

/** The code of the error that the work ends with; undefined when it ends well. */
export function codeOf(work: () => unknown): ErrorCode | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof MicroVmError) return error.code;
    throw error;
  }
  return undefined;
}
