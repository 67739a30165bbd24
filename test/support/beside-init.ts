/** A guest that serves its store as usual, with a program of a test's own beside the appliance's init. */
import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { cpio } from "../../src/appliance/cpio.js";
import { extractImage } from "../../src/rvf/index.js";
import { parseInitramfs } from "../appliance/parse-cpio.js";
import { appliancePath } from "./rvf.js";

/** Where the file below is loaded. */
const base = 0x400000n;

/** Where its data begin, behind the code. */
const dataAt = 0x200;

/**
 * Writes the initramfs: the appliance's own behind an /init of machine code, since no compiler can be counted on where tests run. The code is
 * in hexadecimal, with comments behind `#`. It finds the appliance's init as "/served" at 0x400200, the arguments of that at 0x400240, and
 * what else it wants at addresses between 0x400210 and 0x400300.
 */
export async function writeInitramfsWith(
  path: string,
  code: string,
  data: readonly (readonly [address: number, bytes: Buffer | string])[],
): Promise<void> {
  const { initramfsPath } = await extractImage(appliancePath());
  const appliance = await readFile(initramfsPath!);
  const init = parseInitramfs(appliance).find((member) => member.path === "init")!;
  // Where two archives have a file of one name, the later one's stays.
  const ours = cpio([
    { kind: "file", path: "served", mode: 0o755, data: init.data },
    { kind: "file", path: "init", mode: 0o755, data: executable(code, data) },
  ]);
  await writeFile(path, Buffer.concat([appliance, gzipSync(ours)]));
}

/** A static x86-64 ELF file of one segment, readable, writable and executable. */
function executable(code: string, data: readonly (readonly [number, Buffer | string])[]): Buffer {
  const file = Buffer.alloc(0x300);
  file.write("7f454c46020101", "hex");
  // ET_EXEC, EM_X86_64, version; sizes of the two headers and that there is one program header.
  file.write("02003e0001000000", 0x10, "hex");
  file.write("400038000100", 0x34, "hex");
  file.writeBigUInt64LE(base + 0x78n, 0x18);
  file.writeBigUInt64LE(0x40n, 0x20);
  // PT_LOAD of the whole file at the base.
  file.write("0100000007000000", 0x40, "hex");
  file.writeBigUInt64LE(base, 0x50);
  file.writeBigUInt64LE(BigInt(file.length), 0x60);
  file.writeBigUInt64LE(BigInt(file.length), 0x68);
  file.writeBigUInt64LE(0x1000n, 0x70);
  const bytes = Buffer.from(code.replaceAll(/#.*|\s/g, ""), "hex");
  if (0x78 + bytes.length > dataAt) throw new Error("the code reaches into the data");
  bytes.copy(file, 0x78);
  file.write("/served", dataAt);
  file.writeBigUInt64LE(base + BigInt(dataAt), 0x240);
  for (const [address, value] of data) Buffer.from(value as string).copy(file, address - Number(base));
  return file;
}
