/** What a guest and its QEMU said, made fit for an error message. */
import { open, stat } from "node:fs/promises";
import { stripVTControlCharacters } from "node:util";

/** The last lines of a text file that may be large, without control sequences; "" when there is none. */
export async function tailLines(path: string, lines = 15): Promise<string> {
  const maxBytes = 8192;
  let file;
  try {
    file = await open(path, "r");
  } catch {
    return "";
  }
  try {
    const { size } = await file.stat();
    const start = Math.max(0, size - maxBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return printable(buffer.toString("utf8", 0, bytesRead))
      .split("\n")
      .slice(-lines)
      .join("\n");
  } finally {
    await file.close();
  }
}

/** Firmware clears the screen and moves the cursor; a terminal that prints an error must not obey that. */
export function printable(text: string): string {
  return (
    stripVTControlCharacters(text.replaceAll("\x1bc", ""))
      // eslint-disable-next-line no-control-regex -- that is what they are
      .replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "")
      .replace(/\n{2,}/g, "\n")
      .trim()
  );
}

/** Whether the file has any content yet. */
export async function hasContent(path: string): Promise<boolean> {
  return await stat(path).then(
    (stats) => stats.size > 0,
    () => false,
  );
}
