/** QEMU, one binary for each architecture of guests. */
import { describeError, MicroVmError } from "../../src/errors.js";
import { machineOf } from "../../src/launcher/host/arch.js";
import { findQemu, qemuFacts } from "../../src/launcher/host/qemu.js";
import type { Report } from "./command.js";
import { SetupError } from "./error.js";
import { installCommand, installPackages } from "./packages.js";
import type { Part } from "./part.js";
import { atLeast } from "./version.js";

/** The oldest QEMU that the launcher is made for: the one of Debian 12. */
const oldest = "7.2";

const packagesFor = {
  x86_64: {
    "apt-get": "qemu-system-x86",
    dnf: "qemu-system-x86",
    pacman: "qemu-system-x86",
    apk: "qemu-system-x86_64",
    zypper: "qemu-x86",
    brew: "qemu",
  },
  aarch64: {
    "apt-get": "qemu-system-arm",
    dnf: "qemu-system-aarch64",
    pacman: "qemu-system-aarch64",
    apk: "qemu-system-aarch64",
    zypper: "qemu-arm",
    brew: "qemu",
  },
};

export async function ensureQemu(report: Report, arch: keyof typeof packagesFor = "x86_64"): Promise<Part> {
  const packages = packagesFor[arch];
  const present = await findQemu(arch).catch((error: unknown) => {
    if (error instanceof MicroVmError && error.code === "QemuNotFound") return undefined;
    throw error;
  });
  if (present === undefined) await installPackages(packages, report);
  const { binary, version, machines } = await qemuFacts(present ?? (await findQemu(arch))).catch(
    (cause: unknown) => {
      throw new SetupError(describeError(cause), { cause });
    },
  );
  if (!atLeast(version, oldest) || !machines.includes(machineOf[arch])) {
    const hint = await installCommand(packages);
    throw new SetupError(
      `${binary} ${version} is too old, or built without the ${machineOf[arch]} machine; ${oldest} is needed.`,
      {
        ...(hint && { hint: `Install a newer one, for example: ${hint}` }),
      },
    );
  }
  return { summary: `${present ? "found" : "installed"} ${version}, ${binary}` };
}
