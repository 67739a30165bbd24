/** What a guest and its QEMU said, made fit for an error message. */
import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import { stripVTControlCharacters } from "node:util";
import { formerConsole } from "../start/keeper.js";

/** What an error shows of a text at most. */
const tailBytes = 8192;

/** The last lines of a text that may be large, or of a console in its two files, without control sequences; "" when there is none. */
export async function tailLines(path: string, lines = 15): Promise<string> {
  const current = await tail(path, tailBytes);
  // It is short when another has just been moved away.
  const former = await tail(formerConsole(path), tailBytes - current.length);
  return printable(Buffer.concat([former, current]).toString("utf8"))
    .split("\n")
    .slice(-lines)
    .join("\n");
}

const tail = async (path: string, maxBytes: number): Promise<Buffer> =>
  await part(path, maxBytes, (size, length) => size - length);

/** The beginning of a file of any size; nothing where there is none. */
export const firstBytes = async (path: string, maxBytes: number): Promise<Buffer> =>
  await part(path, maxBytes, () => 0);

async function part(
  path: string,
  maxBytes: number,
  start: (size: number, length: number) => number,
): Promise<Buffer> {
  let file;
  try {
    file = await open(path, "r");
  } catch {
    return Buffer.alloc(0);
  }
  try {
    const { size } = await file.stat();
    const length = Math.min(size, maxBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, start(size, length));
    return buffer.subarray(0, bytesRead);
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

/** How many bytes there are, 0 where there is no file. Asked often while a guest boots, so at once: another thread would cost ten times as much. */
export function sizeOf(path: string): number {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    return 0;
  }
}

/** Whether the file, or the console in its two files, has any content yet. */
export const hasOutput = (path: string): boolean => sizeOf(path) > 0 || sizeOf(formerConsole(path)) > 0;
