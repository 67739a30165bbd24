/** The line that installs QEMU on this system. */
import { access } from "node:fs/promises";
import type { Arch } from "./arch.js";

/** Package managers by the file that shows they are there, in the order they are looked for. */
const managers: { binary: string; command: (arch: Arch) => string }[] = [
  { binary: "/usr/bin/apt-get", command: (arch) => `sudo apt-get install ${debianPackage[arch]}` },
  { binary: "/usr/bin/dnf", command: (arch) => `sudo dnf install ${fedoraPackage[arch]}` },
  { binary: "/usr/bin/pacman", command: (arch) => `sudo pacman -S ${fedoraPackage[arch]}` },
  { binary: "/sbin/apk", command: (arch) => `sudo apk add qemu-system-${arch}` },
  { binary: "/usr/bin/zypper", command: (arch) => `sudo zypper install ${susePackage[arch]}` },
];

const debianPackage: Record<Arch, string> = {
  x86_64: "qemu-system-x86",
  aarch64: "qemu-system-arm",
  riscv64: "qemu-system-misc",
};
const fedoraPackage: Record<Arch, string> = {
  x86_64: "qemu-system-x86",
  aarch64: "qemu-system-aarch64",
  riscv64: "qemu-system-riscv",
};
const susePackage: Record<Arch, string> = {
  x86_64: "qemu-x86",
  aarch64: "qemu-arm",
  riscv64: "qemu-extra",
};

export interface HostFacts {
  /** @default process.platform */
  platform?: NodeJS.Platform;
  /** Whether there is a file at that path. By default the file system is asked. */
  present?: (path: string) => Promise<boolean>;
}

export async function installHint(
  arch: Arch,
  { platform = process.platform, present = exists }: HostFacts = {},
): Promise<string> {
  if (platform === "darwin") return "brew install qemu";
  if (platform !== "linux") return "download it from https://www.qemu.org/download/";
  for (const { binary, command } of managers) {
    if (await present(binary)) return command(arch);
  }
  return "with your distribution's package manager (apt, dnf, pacman, apk, zypper)";
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
