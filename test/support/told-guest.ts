/**
 * A guest that serves its store as usual and beside that does what a test tells it by its second serial port: reboot,
 * flood its console, or whatever Linux does for a letter in /proc/sysrq-trigger (`c` panic, `b` reset, `o` power-off).
 */
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { cpio } from "../../src/appliance/cpio.js";
import { extractImage } from "../../src/rvf/index.js";
import { parseInitramfs } from "../appliance/parse-cpio.js";
import { appliancePath } from "./rvf.js";

/** Writes the initramfs: the appliance's own behind an /init that starts it as PID 1, with a child of ours beside it. */
export const writeToldInitramfs = async (path: string): Promise<void> => await writeInitramfs(path, told);

/** One whose guest writes "flood" to its console and then serves only once it is told something, whatever that is. */
export const writeWaitingInitramfs = async (path: string): Promise<void> =>
  await writeInitramfs(path, waiting);

async function writeInitramfs(path: string, code: string): Promise<void> {
  const { initramfsPath } = await extractImage(appliancePath());
  const appliance = await readFile(initramfsPath!);
  const init = parseInitramfs(appliance).find((member) => member.path === "init")!;
  // Where two archives have a file of one name, the later one's stays.
  const ours = cpio([
    { kind: "file", path: "served", mode: 0o755, data: init.data },
    { kind: "file", path: "init", mode: 0o755, data: executable(code) },
  ]);
  await writeFile(path, Buffer.concat([appliance, gzipSync(ours)]));
}

/** The inputs that give a VM such a guest, which listens on the socket. */
export const toldGuest = (initramfsPath: string, socket: string) => ({
  initramfsPath,
  extraArgs: [
    ...["-chardev", `socket,id=told,path=${socket},server=on,wait=off`],
    ...["-device", "isa-serial,chardev=told"],
  ],
  allowUnsafeArgs: true,
});

/** `r` reboots as `reboot -f` does, `f` floods the console for ever; every other letter goes to /proc/sysrq-trigger. */
export async function tell(socket: string, letter: string): Promise<void> {
  const connection = connect(socket);
  connection.end(letter);
  await once(connection, "close");
}

/** Machine code, since no compiler can be counted on where tests run. Its data lies behind it, from 0x400200 on. */
const told = `
  b839000000 0f05 85c0 7413          #         fork(); the child goes to "child"
  b83b000000 bf00024000 be40024000   #         execve("/served", ["/served"], [])
  31d2 0f05
  b8ac000000 bf03000000 0f05         # child:  iopl(3), since microvm wires no interrupt for a second serial port
  b823000000 bf30024000 31f6 0f05    # ask:    nanosleep(20 ms)
  bafd020000 ec a801 74e8            #         again while its line status says that nothing came
  baf8020000 ec 880425 50024000      #         the letter from its data register
  3c72 742a 3c66 743c                #         r goes to "reboot", f to "flood"
  b802000000 bf10024000 be01000000   #         fd = open("/proc/sysrq-trigger", O_WRONLY)
  0f05 89c7
  b801000000 be50024000 ba01000000   #         write(fd, letter, 1), then to "ask"
  0f05 ebad
  b8a9000000 bfaddee1fe be69191228   # reboot: reboot(LINUX_REBOOT_CMD_RESTART)
  ba67452301 0f05
  baf8030000                         # flood:  64 bytes to the first serial port's data register, for ever
  be60024000 b940000000 f36e ebf2
`;

const waiting = `
  b8ac000000 bf03000000 0f05         #         iopl(3)
  baf8030000 be60024000 b940000000   #         64 bytes to the first serial port's data register
  f36e
  b823000000 bf30024000 31f6 0f05    # ask:    nanosleep(20 ms)
  bafd020000 ec a801 74e8            #         again while nothing came
  baf8020000 ec                      #         takes it from the data register
  b83b000000 bf00024000 be40024000   #         execve("/served", ["/served"], [])
  31d2 0f05
`;

/** A static x86-64 ELF file of one segment, readable, writable and executable. */
function executable(code: string): Buffer {
  const base = 0x400000n;
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
  file.write(code.replaceAll(/#.*|\s/g, ""), 0x78, "hex");
  file.write("/served", 0x200);
  file.write("/proc/sysrq-trigger", 0x210);
  file.writeBigUInt64LE(20_000_000n, 0x238);
  file.writeBigUInt64LE(base + 0x200n, 0x240);
  file.write(`${"flood ".repeat(10)}...\n`, 0x260);
  return file;
}
