/** The launcher speaks of its inputs, which the command's user knows as options. */
import type { VmSpec } from "../launcher/index.js";

/** But for three: `enableKvm` says the contrary of its option, and `verification` and `kernel` are words of every day. */
const flags: Record<Exclude<keyof VmSpec, "enableKvm" | "verification" | "kernel">, string> = {
  rvfPath: "FILE",
  memoryMb: "--memory",
  vcpus: "--vcpus",
  apiPort: "--port",
  sshPort: "--ssh-port",
  bindAddress: "--bind",
  qemuBinary: "--qemu",
  extraArgs: "--extra-args",
  allowUnsafeArgs: "--allow-unsafe-args",
  kernelPath: "--kernel",
  initramfsPath: "--initramfs",
  trustedKeys: "--trusted-key",
  readyTimeoutSeconds: "--ready-timeout",
  firstOutputTimeoutSeconds: "--first-output-timeout",
  shutdownTimeoutSeconds: "--shutdown-timeout",
  warmStart: "--warm-start",
  updateStrategy: "--update-strategy",
  drainTimeoutSeconds: "--drain-timeout",
};

/** With or without the number of a list's item, which no option has. */
const inputs = new RegExp(`(?<![\\w./-])(${Object.keys(flags).join("|")})(\\.\\d+)?(?![\\w/-])`, "g");

/** The text with each input called by its option. */
export const inFlags = (text: string): string =>
  text
    .replaceAll('kernel: "appliance"', "--appliance")
    .replace(inputs, (_, input: keyof typeof flags) => flags[input]);
