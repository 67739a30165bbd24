/** The guest kernel's command line: the RVF's own settings, with ours only where it has none. Pure. */
import { NONCE_KEY, PORT_KEY } from "../appliance/contract.js";
import { MicroVmError } from "../errors.js";

/** COMMAND_LINE_SIZE of x86 Linux, including the terminating NUL. */
const maxLength = 2047;

export interface CmdlineOptions {
  /** The RVF's own command line. */
  own: string;
  nonce: string;
  guestApiPort: number;
  /** Given under TCG where known. */
  tscKhz?: number | undefined;
}

/** The port that a kernel's own command line tells its server to listen on. */
export function portIn(cmdline: string): number | undefined {
  const words = cmdline.split(/\s+/).filter((word) => word.startsWith(`${PORT_KEY}=`));
  const port = Number(words.at(-1)?.slice(PORT_KEY.length + 1));
  return Number.isInteger(port) && port > 0 && port <= 65535 ? port : undefined;
}

export function kernelCmdline({ own, nonce, guestApiPort, tscKhz }: CmdlineOptions): string {
  const words = own.split(/\s+/).filter(Boolean);
  const keys = new Set(words.map((word) => word.split("=", 1)[0]!));
  const unless = (key: string, ...settings: string[]) => (keys.has(key) ? [] : settings);
  const chatty = ["quiet", "loglevel", "debug", "ignore_loglevel"].some((key) => keys.has(key));
  const line = [
    ...unless("console", "console=ttyS0"),
    // With QEMU's -no-reboot these two turn a panic into an end of the VM instead of a hang.
    ...unless("reboot", "reboot=t"),
    ...unless("panic", "panic=-1"),
    // A first line early in the boot is the sign of life by which an accelerator is judged.
    ...unless("earlyprintk", "earlyprintk=ttyS0"),
    ...(chatty ? [] : ["quiet"]),
    ...(tscKhz === undefined ? [] : unless("tsc_early_khz", `tsc_early_khz=${tscKhz}`)),
    ...words,
    ...unless(PORT_KEY, `${PORT_KEY}=${guestApiPort}`),
    `${NONCE_KEY}=${nonce}`,
  ].join(" ");
  if (line.length > maxLength) {
    throw new MicroVmError(
      "KernelUnsupported",
      `the kernel command line has ${line.length} characters, Linux takes ${maxLength}`,
      { hint: "Shorten the command line embedded in the RVF.", property: "rvfPath" },
    );
  }
  return line;
}
