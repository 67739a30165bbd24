/**
 * Which accelerators to try, in order. Whether KVM works is shown only by a guest that runs under it. So a launch tries
 * KVM and, where that fails before the guest's first sign of life, goes on with TCG and says why; what came of it is
 * remembered for the launches to come (kvm-verdict.ts).
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { MicroVmError } from "../../errors.js";
import type { Arch } from "./arch.js";
import type { Accelerator } from "./cpu.js";
import type { Host } from "./host.js";
import { recallKvm, verdictFolder, type KvmVerdict } from "./kvm-verdict.js";
import type { QemuFacts } from "./qemu.js";

/** Node's name of the host architecture for each guest architecture. */
const hostArch: Record<Arch, string> = { x86_64: "x64", aarch64: "arm64", riscv64: "riscv64" };

/** Those that run the guest on the host's own CPU. */
type Hardware = Exclude<Accelerator, "tcg">;

/** Why an accelerator cannot be used, and what would mend it, where that is known. */
export interface Obstacle {
  reason: string;
  hint?: string;
}

/** Why such guests cannot run on the host's own CPU, or undefined when nothing speaks against trying. */
export async function hardwareObstacle(
  accelerator: Hardware,
  arch: Arch,
  qemu?: QemuFacts,
  host: Host = process,
): Promise<Obstacle | undefined> {
  if (accelerator === "kvm" && host.platform !== "linux")
    return { reason: `KVM is Linux only, this is ${host.platform}` };
  if (host.arch !== hostArch[arch]) return { reason: `the guest is ${arch}, the host ${host.arch}` };
  if (qemu && !qemu.accelerators.includes(accelerator))
    return {
      reason: `${qemu.binary} (${qemu.version}) was built without ${nameOf(accelerator)}`,
      hint: "Install your distribution's full QEMU package.",
    };
  return accelerator === "kvm" ? await deviceObstacle() : undefined;
}

async function deviceObstacle(): Promise<Obstacle | undefined> {
  try {
    // Its mode says little: a container may be denied the device whatever that is.
    await using _ = await open("/dev/kvm", constants.O_RDWR);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT"
      ? {
          reason: "there is no /dev/kvm",
          hint:
            "Switch virtualisation on in the firmware or, where this host is a VM itself, in its own host; " +
            "then load the kernel's module: sudo modprobe kvm_intel, or kvm_amd.",
        }
      : {
          reason: "/dev/kvm may not be opened by this user",
          hint: "Add the user to the group that owns it, mostly kvm, and log in again: sudo usermod -aG kvm $USER",
        };
  }
}

/** Whether /dev/kvm can be opened for guests of the host's own architecture. It proves no more than that. */
export async function kvmAvailable(): Promise<boolean> {
  const own = (Object.keys(hostArch) as Arch[]).find((arch) => hostArch[arch] === process.arch);
  return own !== undefined && (await hardwareObstacle("kvm", own)) === undefined;
}

export interface AcceleratorChoice {
  accelerator: Accelerator;
  reason: string;
}

export interface AcceleratorQuestion {
  arch: Arch;
  qemu: QemuFacts;
  enableKvm: boolean;
  requiresKvm: boolean;
}

/** What to try, in order. Throws KvmRequired when the kernel needs KVM and it cannot be had. */
export async function acceleratorChoices(
  { arch, qemu, enableKvm, requiresKvm }: AcceleratorQuestion,
  host: Host = process,
): Promise<AcceleratorChoice[]> {
  const accelerator = host.platform === "darwin" && !requiresKvm ? "hvf" : "kvm";
  const obstacle = enableKvm
    ? await hardwareObstacle(accelerator, arch, qemu, host)
    : { reason: "enableKvm is false", hint: "Set enableKvm to true, or leave it out." };
  const verdict = obstacle || accelerator !== "kvm" ? undefined : await recallKvm(qemu, arch);
  return choose({ accelerator, requiresKvm, obstacle, verdict });
}

/** What the choice goes by. */
export interface Evidence {
  accelerator: Hardware;
  requiresKvm: boolean;
  obstacle?: Obstacle | undefined;
  verdict?: KvmVerdict | undefined;
}

/** The choice itself, which is pure. */
export function choose({ accelerator, requiresKvm, obstacle, verdict }: Evidence): AcceleratorChoice[] {
  const against = obstacle ?? (verdict?.works === false ? { reason: inWords(verdict) } : undefined);
  if (requiresKvm) {
    if (against) throw kvmRequired(against.reason, undefined, against.hint);
    return [{ accelerator, reason: "the kernel requires KVM" }];
  }
  if (against) return [{ accelerator: "tcg", reason: against.reason }];
  const name = nameOf(accelerator);
  const reason = verdict
    ? inWords(verdict)
    : `${name} is tried first: nothing on this host speaks against it`;
  return [
    { accelerator, reason },
    { accelerator: "tcg", reason: `${name} failed on this host` },
  ];
}

/** What a boot has shown and, where that is a failure, for how long it counts and how it is forgotten. */
export function inWords({ works, reason, at, expires }: KvmVerdict): string {
  if (works) return `KVM works on this host: ${reason}, seen ${minute(at)}`;
  const end = `it is tried again after ${minute(expires)}, or once ${verdictFolder()} is removed`;
  return `KVM failed on this host at ${minute(at)}: ${reason}; ${end}`;
}

/** For example `2026-11-24 03:05 UTC`. */
const minute = (time: Date): string => `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;

const nameOf = (accelerator: Hardware): string => accelerator.toUpperCase();

export function kvmRequired(
  reason: string,
  evidence?: string,
  hint = "Run it on a host with working KVM, or boot another kernel with kernelPath.",
): MicroVmError {
  return new MicroVmError("KvmRequired", `the RVF's kernel requires KVM: ${reason}`, {
    hint,
    property: "enableKvm",
    ...(evidence !== undefined && { evidence }),
  });
}
