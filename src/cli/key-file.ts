import { readFile } from "node:fs/promises";
import { MicroVmError, systemErrorCode } from "../errors.js";

/** The text of a key's file, which may be a pipe. */
export async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new MicroVmError("InvalidArgument", `The key "${path}" cannot be read: ${whyUnread(error)}`, {
      cause: error,
      hint: "`microvm keygen` makes a key.",
    });
  }
}

/** Why a key's file could not be read, in a sentence's end. */
export function whyUnread(error: unknown): string {
  const code = systemErrorCode(error);
  if (code === "ENOENT") return "there is no such file.";
  return code === "EISDIR" ? "it is a directory." : `${code ?? String(error)}.`;
}
