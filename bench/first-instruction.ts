/** The floor of every start: when the processor of a bare QEMU executes its first instruction. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startBare } from "./bare.js";

/** An x86 begins 16 bytes below the end of its firmware: al = '!', dx = the serial port, out, then halt for good. */
const instructions = [0xb0, 0x21, 0xba, 0xf8, 0x03, 0xee, 0xf4, 0xeb, 0xfd];
const FIRMWARE_BYTES = 64 * 1024;

/** Writes the firmware into the folder. What is returned takes one sample, in milliseconds from the spawn on, of the RVF's own arguments. */
export async function firstInstruction(folder: string, rvfPath: string): Promise<() => Promise<number>> {
  const firmware = join(folder, "first-instruction.bin");
  const image = Buffer.alloc(FIRMWARE_BYTES);
  image.set(instructions, FIRMWARE_BYTES - 16);
  await writeFile(firmware, image);
  return async () => {
    await using qemu = await startBare({ rvfPath, change: (argv) => [...argv, "-bios", firmware] });
    return await qemu.until("console", "!");
  };
}
