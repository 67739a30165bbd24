/** The guest kernel's command line: the RVF's own settings, with ours only where it has none. Pure. */
import { NONCE_KEY, PORT_KEY } from "../../appliance/contract.js";
import { MicroVmError } from "../../errors.js";
import type { Arch } from "../host/arch.js";
import type { Accelerator } from "../host/cpu.js";

/**
 * What Linux is told on the machine of its architecture. With QEMU's -no-reboot `panic=-1` (and on x86 `reboot=t`) turns
 * a panic into an end of the VM instead of a hang. A first line early in the boot is the sign of life by which an
 * accelerator is judged: x86 gives it although `quiet`, the others' first one is a notice ("Linux version").
 */
const settings: Record<Arch, string[]> = {
  x86_64: ["console=ttyS0", "reboot=t", "panic=-1", "earlyprintk=ttyS0"],
  aarch64: ["console=ttyAMA0", "panic=-1", "earlycon"],
  riscv64: ["console=ttyS0", "panic=-1", "earlycon=sbi"],
};
const loudness: Record<Arch, string> = { x86_64: "quiet", aarch64: "loglevel=6", riscv64: "loglevel=6" };

/** COMMAND_LINE_SIZE of such a Linux without the terminating NUL; riscv's was 512 once. */
const maxLength: Record<Arch, number> = { x86_64: 2047, aarch64: 2047, riscv64: 1023 };

export interface CmdlineOptions {
  arch: Arch;
  /** The RVF's own command line. */
  own: string;
  nonce: string;
  guestApiPort: number;
  accelerator: Accelerator;
  vcpus: number;
  /** The rate of the host's TSC, where known. */
  tscKhz?: number | undefined;
}

/**
 * Clocks whose rate an x86-64 guest would measure under TCG, in a fifth of a second that it burns, and at whose measurement it hangs at times: the
 * host's TSC, which it counts there, and QEMU's APIC timer. The latter's key is our own kernel's (guest/kernel); others pass over it.
 * Unless it is told that the TSC is reliable, Linux holds it against this machine's only other clock, a tick that comes late under TCG, gives
 * it up within a second and never lets the tick rest again: an idle guest then takes some per cent of a processor.
 * `lpj` is the TSC's steps in one tick, which Linux else measures of each further CPU, for a second and a half under TCG. It is computed for 100 ticks
 * a second, our kernel's and Linux's fewest; a kernel with more waits up to ten times too long in its busy pauses, never too short.
 */
const emulatedClocks = (tscKhz: number | undefined, vcpus: number): string[] => [
  ...(tscKhz === undefined ? [] : [`tsc_early_khz=${tscKhz}`, "tsc=reliable"]),
  ...(tscKhz === undefined || vcpus === 1 ? [] : [`lpj=${(tscKhz * 1000) / FEWEST_HZ}`]),
  "lapic_khz=1000000",
];

/** Linux's lowest CONFIG_HZ. */
const FEWEST_HZ = 100;

/**
 * A kernel for several CPUs that finds one takes the lock prefix out of 4,000 of its instructions, each through page tables of its own, with three flushes of
 * the TLB, which under TCG is a sixth of the boot. There a prefix costs one CPU nothing.
 */
const KEEP_LOCKS = "noreplace-smp";

/** The port that a kernel's own command line tells its server to listen on. */
export function portIn(cmdline: string): number | undefined {
  const words = cmdline.split(/\s+/).filter((word) => word.startsWith(`${PORT_KEY}=`));
  const port = Number(words.at(-1)?.slice(PORT_KEY.length + 1));
  return Number.isInteger(port) && port > 0 && port <= 65535 ? port : undefined;
}

export function kernelCmdline(options: CmdlineOptions): string {
  const { arch, own, nonce, guestApiPort, accelerator, vcpus, tscKhz } = options;
  const words = own.split(/\s+/).filter(Boolean);
  const keys = new Set(words.map(keyOf));
  const unlessOwn = (setting: string) => !keys.has(keyOf(setting));
  const chatty = ["quiet", "loglevel", "debug", "ignore_loglevel"].some((key) => keys.has(key));
  const line = [
    ...settings[arch].filter(unlessOwn),
    ...(chatty ? [] : [loudness[arch]]),
    ...(accelerator === "tcg" && arch === "x86_64"
      ? [...emulatedClocks(tscKhz, vcpus), KEEP_LOCKS].filter(unlessOwn)
      : []),
    ...words,
    ...[`${PORT_KEY}=${guestApiPort}`].filter(unlessOwn),
    `${NONCE_KEY}=${nonce}`,
  ].join(" ");
  if (line.length > maxLength[arch]) {
    throw new MicroVmError(
      "KernelUnsupported",
      `the kernel command line has ${line.length} characters, Linux takes ${maxLength[arch]}`,
      { hint: "Shorten the command line embedded in the RVF.", property: "rvfPath" },
    );
  }
  return line;
}

const keyOf = (word: string): string => word.split("=", 1)[0]!;
