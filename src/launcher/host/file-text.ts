import { readFileSync } from "node:fs";

/** What the kernel says in a small file of /proc or /sys, at once; "" where there is none, or it cannot be read: for what is only worth knowing where it is said. */
export function fileText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
