import { readFile } from "node:fs/promises";
import { MicroVmError, systemErrorCode } from "../errors.js";

/** The text of a key's file, which may be a pipe. */
export async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = systemErrorCode(error);
    const why = code === "ENOENT" ? "there is no such file" : (code ?? String(error));
    throw new MicroVmError("InvalidArgument", `The key "${path}" cannot be read: ${why}.`, {
      cause: error,
      hint: "`microvm keygen` makes a key.",
    });
  }
}
