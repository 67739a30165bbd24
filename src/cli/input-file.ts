/** Small files that the user names: keys, a stack's export. */
import { readFile } from "node:fs/promises";
import { fileNotFound, isMissing, MicroVmError, systemErrorCode } from "../errors.js";

/** The text of a file, which may be a pipe. Throws as `unread` makes it. */
export async function readInputFile(name: string, path: string, hint: string): Promise<string> {
  return await readFile(path, "utf8").catch((cause: unknown) => {
    throw unread(name, path, cause, hint);
  });
}

/** The error for one that could not be read: FileNotFound, InvalidArgument for a directory, else Io. */
export function unread(name: string, path: string, cause: unknown, hint: string): MicroVmError {
  if (isMissing(cause)) return fileNotFound(path, { cause, hint });
  const code = systemErrorCode(cause);
  return code === "EISDIR"
    ? new MicroVmError("InvalidArgument", `The ${name} "${path}" is a directory.`, { cause, hint })
    : new MicroVmError("Io", `The ${name} "${path}" cannot be read (${code ?? String(cause)}).`, {
        cause,
        hint,
      });
}

/** What `readPrivateKey` and the options for public keys say of one that cannot be read. */
export const keyHint = "`microvm keygen` makes a key.";

export const readPrivateKey = async (path: string): Promise<string> =>
  await readInputFile("key", path, keyHint);
