/** What the program keeps secret: the engine hands it to us in plain text, and prints whatever a failure says. */
import type { Inputs } from "./inputs.js";

const HIDDEN = "[secret]";

/** The text without any secret input's value. */
export function withoutSecrets(text: string, inputs: Partial<Inputs>): string {
  const values = (inputs.secretInputs ?? []).flatMap((key) => inputs[key] ?? []);
  const words = values.map(String).filter((word) => word !== "");
  // The longest first, for one may be part of another.
  return words
    .sort((a, b) => b.length - a.length)
    .reduce((rest, word) => rest.replaceAll(word, HIDDEN), text);
}
