/** Tells whether a file is the one that it was. */
import { stat } from "node:fs/promises";
import { unreadable } from "./unreadable.js";

/** Another with each change of the file, also one that sets size and mtime as they were. Throws FileNotFound or Io. */
export async function stampOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, ctimeNs].join(" ");
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
