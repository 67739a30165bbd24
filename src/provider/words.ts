/** Errors as the engine shows them: it prints the message of what create and update throw, and nothing else of it. */
import { describeError } from "../errors.js";

export async function speakable<T>(work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    throw new Error(describeError(error), { cause: error });
  });
}
