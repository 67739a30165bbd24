/** What the engine shows of us: an error's message and nothing else of it, and the plugin's output under the stack. */
import { describeError } from "../launcher/index.js";
import { InitFailure } from "./init-failure.js";

/** An operation whose errors tell code, evidence and hint in their message. */
export function speaking<A extends unknown[], R>(
  operation: (...args: A) => Promise<R>,
): (...args: A) => Promise<R> {
  return async (...args) => {
    try {
      return await operation(...args);
    } catch (error) {
      if (error instanceof InitFailure) throw error;
      throw new Error(describeError(error), { cause: error });
    }
  };
}

/** Passes on the news among the launcher's progress, with the resource's name in front; a few lines, not a log. */
export function newsOf(name: string): (text: string, weight?: "news") => void {
  return (text, weight) => {
    if (weight === "news") console.log(`${name}: ${text}`);
  };
}
