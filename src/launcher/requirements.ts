/** Whether this host has what a launch needs. */
import { MicroVmError } from "../errors.js";
import { hardwareObstacle } from "./accelerator.js";
import { installHint } from "./install-hint.js";
import type { Arch } from "./arch.js";
import { findQemu, qemuFacts, type QemuFacts } from "./qemu.js";

export interface RequirementsReport {
  arch: Arch;
  /** The QEMU found, or absent. */
  qemu?: QemuFacts;
  /** Whether a launch would try KVM; whether it works is shown by a boot only. */
  kvmAvailable: boolean;
  /** Why KVM is not tried. */
  kvmObstacle?: string;
  /** The line that installs QEMU here. */
  installHint: string;
}

export async function checkRequirements(arch: Arch = "x86_64"): Promise<RequirementsReport> {
  const [qemu, obstacle, hint] = await Promise.all([
    foundQemu(arch),
    hardwareObstacle("kvm", arch),
    installHint(arch),
  ]);
  return {
    arch,
    ...(qemu && { qemu }),
    kvmAvailable: obstacle === undefined,
    ...(obstacle !== undefined && { kvmObstacle: obstacle.reason }),
    installHint: hint,
  };
}

async function foundQemu(arch: Arch): Promise<QemuFacts | undefined> {
  try {
    return await qemuFacts(await findQemu(arch));
  } catch (error) {
    if (error instanceof MicroVmError && error.code === "QemuNotFound") return undefined;
    throw error;
  }
}
