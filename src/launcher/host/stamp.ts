/** Tells whether a file is the one that it was. */
import { stat } from "node:fs/promises";
import { MicroVmError } from "../../errors.js";

/** Another with each change of the file, also one that sets size and mtime as they were. Throws Io. */
export async function stampOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, ctimeNs].join(" ");
  } catch (cause) {
    throw new MicroVmError("Io", `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}
