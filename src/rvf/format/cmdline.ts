/** The kernel's own command line, as stored: checked before anyone passes it on. */
import { isUtf8 } from "node:buffer";
import { unsupported } from "./kernel.js";
import type { ByteRange, Source } from "../source.js";

/** Linux's COMMAND_LINE_SIZE on x86-64 and arm64, less the NUL at its end. */
export const MAX_CMDLINE_BYTES = 2047;

/** Reads a command line; throws KernelUnsupported naming what a kernel or QEMU would trip over. */
export async function readCmdline(source: Source, range: ByteRange): Promise<string> {
  if (range.length > MAX_CMDLINE_BYTES)
    throw unsupported(`its command line has ${range.length} bytes, Linux takes ${MAX_CMDLINE_BYTES}`);
  return decodeCmdline(await source.at(range.start, range.length));
}

/** Bytes to text; refuses NUL, line breaks, other control characters and what is not UTF-8, by name. */
export function decodeCmdline(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw unsupported("its command line is not UTF-8");
  const control = bytes.findIndex((byte) => (byte < 0x20 && byte !== 0x09) || byte === 0x7f);
  if (control >= 0)
    throw unsupported(`its command line has ${nameOf(bytes[control] ?? 0)} at byte ${control}`);
  return bytes.toString("utf8");
}

function nameOf(byte: number): string {
  if (byte === 0x00) return "a NUL";
  if (byte === 0x0a || byte === 0x0d) return "a newline";
  return `the control character 0x${byte.toString(16).padStart(2, "0")}`;
}
