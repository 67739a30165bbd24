/**
 * Which accelerators to try, in order. Whether KVM works is shown only by a guest that runs under it: on some hosts
 * /dev/kvm opens and creates VMs, and the first guest instruction aborts QEMU. So a launch tries KVM and, where that
 * fails before the guest's first sign of life, goes on with TCG and says why.
 */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { MicroVmError } from "../errors.js";
import type { Arch } from "./arch.js";

export type Accelerator = "kvm" | "tcg";

/** Node's name of the host architecture for each guest architecture. */
const hostArch: Record<Arch, string> = { x86_64: "x64", aarch64: "arm64", riscv64: "riscv64" };

/** Why KVM cannot be used for such a guest, or undefined when nothing speaks against trying. */
export async function kvmObstacle(arch: Arch): Promise<string | undefined> {
  if (process.platform !== "linux") return `KVM is Linux only, this is ${process.platform}`;
  if (process.arch !== hostArch[arch]) return `the guest is ${arch}, the host ${process.arch}`;
  try {
    await access("/dev/kvm", constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT"
      ? "there is no /dev/kvm"
      : "/dev/kvm may not be opened by this user (usually cured by adding the user to the group kvm)";
  }
}

/** Whether /dev/kvm can be opened for guests of the host's own architecture. It proves no more than that. */
export async function kvmAvailable(): Promise<boolean> {
  const own = (Object.keys(hostArch) as Arch[]).find((arch) => hostArch[arch] === process.arch);
  return own !== undefined && (await kvmObstacle(own)) === undefined;
}

export interface AcceleratorChoice {
  accelerator: Accelerator;
  reason: string;
}

/** What to try, in order. Throws KvmRequired when the kernel needs KVM and it cannot be had. */
export async function acceleratorChoices(options: {
  arch: Arch;
  enableKvm: boolean;
  requiresKvm: boolean;
}): Promise<AcceleratorChoice[]> {
  const obstacle = options.enableKvm ? await kvmObstacle(options.arch) : "enableKvm is false";
  if (options.requiresKvm) {
    if (obstacle !== undefined) throw kvmRequired(obstacle);
    return [{ accelerator: "kvm", reason: "the kernel requires KVM" }];
  }
  if (obstacle !== undefined) return [{ accelerator: "tcg", reason: obstacle }];
  return [
    { accelerator: "kvm", reason: "the guest runs under KVM" },
    { accelerator: "tcg", reason: "KVM failed on this host" },
  ];
}

export function kvmRequired(reason: string, evidence?: string): MicroVmError {
  return new MicroVmError("KvmRequired", `the RVF's kernel requires KVM: ${reason}`, {
    hint: "Run it on a host with working KVM, or boot another kernel with kernelPath.",
    property: "enableKvm",
    ...(evidence !== undefined && { evidence }),
  });
}
