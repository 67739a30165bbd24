/** What the engine shows of us: an error's message and nothing else of it, and the plugin's output under the stack. */
import { describeError } from "../launcher/index.js";
import { InitFailure } from "./init-failure.js";
import { nameOf, type Inputs } from "./inputs.js";
import { withoutSecrets } from "./secret.js";

/** An operation whose errors tell code, evidence and hint in their message, and no secret that is among its arguments' inputs. */
export function speaking<A extends unknown[], R>(
  operation: (...args: A) => Promise<R>,
): (...args: A) => Promise<R> {
  return async (...args) => {
    try {
      return await operation(...args);
    } catch (error) {
      const told = (text: string): string =>
        args.reduce<string>((rest, arg) => withoutSecrets(rest, arg ?? {}), text);
      if (error instanceof InitFailure) throw new InitFailure(error.id, error.properties, error.cause, told);
      throw new Error(told(describeError(error)), { cause: error });
    }
  };
}

/** Passes on the news among the launcher's progress, with the resource's name in front; a few lines, not a log, and no secret input. */
export function newsOf(inputs: Inputs): (text: string, weight?: "news") => void {
  return (text, weight) => {
    if (weight === "news") console.log(`${nameOf(inputs)}: ${withoutSecrets(text, inputs)}`);
  };
}
