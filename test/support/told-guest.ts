/**
 * A guest that serves its store as usual and beside that does what a test tells it by its second serial port: reboot,
 * flood its console, or whatever Linux does for a letter in /proc/sysrq-trigger (`c` panic, `b` reset, `o` power-off).
 */
import { once } from "node:events";
import { connect } from "node:net";
import { writeInitramfsWith } from "./beside-init.js";

/** Writes the initramfs of such a guest. */
export const writeToldInitramfs = async (path: string): Promise<void> =>
  await writeInitramfsWith(path, told, data);

/** One whose guest writes "flood" to its console and then serves only once it is told something, whatever that is. */
export const writeWaitingInitramfs = async (path: string): Promise<void> =>
  await writeInitramfsWith(path, waiting, data);

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

const data = [
  [0x400210, "/proc/sysrq-trigger"],
  [0x400230, timespec(20_000_000n)],
  [0x400260, `${"flood ".repeat(10)}...\n`],
] as const;

function timespec(nanoseconds: bigint): Buffer {
  const time = Buffer.alloc(16);
  time.writeBigUInt64LE(nanoseconds, 8);
  return time;
}
