/** Whether this host has what a launch needs, found out without starting a VM. */
import { MicroVmError, type ErrorCode } from "../../errors.js";
import { hardwareObstacle, inWords } from "./accelerator.js";
import { machineOf, type Arch } from "./arch.js";
import { assertHost, type Host } from "./host.js";
import { installHint } from "./install-hint.js";
import { recallKvm } from "./kvm-verdict.js";
import { askQemu, assertMachine, findQemu, type QemuFacts } from "./qemu.js";

export interface RequirementsReport {
  /** The guest's architecture. */
  arch: Arch;
  /** The QEMU machine that such guests run on. */
  machine: string;
  /** The QEMU that a launch would use; absent where there is none. */
  qemuPath?: string;
  /** What that binary says of itself, asked anew; absent where it does not answer like a QEMU. */
  qemu?: QemuFacts;
  kvm: KvmReport;
  /** What keeps every launch from starting, as its error would say; empty where nothing is missing. */
  problems: Problem[];
  /** The line that installs QEMU here. */
  installHint: string;
}

export interface KvmReport {
  /**
   * works, failed: what a boot has shown within the last day, on this boot of the host; untried: nothing speaks against it,
   * and the next launch tries it; unavailable: it is not even tried.
   */
  state: "works" | "failed" | "untried" | "unavailable";
  reason: string;
  /** What would mend it, where that is known. */
  hint?: string;
}

export interface Problem {
  code: ErrorCode;
  message: string;
  hint?: string;
}

/** Looks at this host for guests of that architecture. Never throws for what it finds: the report tells. */
export async function checkRequirements(
  arch: Arch = "x86_64",
  host: Host = process,
): Promise<RequirementsReport> {
  const problems: Problem[] = [];
  const attempt = async <T>(step: () => T): Promise<Awaited<T> | undefined> => {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof MicroVmError)) throw error;
      const { code, message, hint } = error;
      problems.push({ code, message, ...(hint !== undefined && { hint }) });
      return undefined;
    }
  };
  await attempt(() => assertHost(host));
  const qemuPath = await attempt(() => findQemu(arch));
  const qemu = qemuPath === undefined ? undefined : await attempt(() => askQemu(qemuPath));
  if (qemu) await attempt(() => assertMachine(qemu, arch));
  return {
    arch,
    machine: machineOf[arch],
    ...(qemuPath !== undefined && { qemuPath }),
    ...(qemu && { qemu }),
    kvm: await kvmReport(arch, qemu, host),
    problems,
    installHint: await installHint(arch, host),
  };
}

async function kvmReport(arch: Arch, qemu: QemuFacts | undefined, host: Host): Promise<KvmReport> {
  const obstacle = await hardwareObstacle("kvm", arch, qemu, host);
  if (obstacle) return { state: "unavailable", ...obstacle };
  const verdict = qemu && (await recallKvm(qemu, arch));
  if (verdict) return { state: verdict.works ? "works" : "failed", reason: inWords(verdict) };
  return {
    state: "untried",
    reason: "nothing on this host speaks against it, and only a guest shows whether it works",
  };
}

/** The report for a person, in lines. */
export function describeRequirements(report: RequirementsReport): string {
  const { machine, qemu, kvm } = report;
  const unsupported = report.problems.find(({ code }) => code === "HostUnsupported");
  const rows: [label: string, text: string | undefined][] = [
    ["Host", unsupported?.message],
    ["QEMU", qemuInWords(report)],
    ["Version", qemu?.version],
    ["Machine", qemu && machineInWords(machine, qemu)],
    ["Accelerators", qemu && `${qemu.accelerators.join(", ")} (as built)`],
    ["KVM", `${kvmWords[kvm.state]}: ${kvm.reason}`],
    ["", kvm.hint],
  ];
  return rows
    .filter(([, text]) => text !== undefined)
    .map(([label, text]) => (label && `${label}:`).padEnd("Accelerators: ".length) + text)
    .join("\n");
}

function qemuInWords({ arch, qemuPath, qemu, installHint }: RequirementsReport): string {
  if (qemuPath === undefined) return `NOT FOUND for ${arch} guests; install it: ${installHint}`;
  return `found at ${qemuPath}${qemu ? "" : ", which does NOT ANSWER like a QEMU"}`;
}

function machineInWords(machine: string, { machines }: QemuFacts): string {
  return `${machine} ${machines.includes(machine) ? "is one" : "is MISSING out"} of its ${machines.length}`;
}

const kvmWords = {
  works: "available",
  failed: "not used (TCG instead)",
  untried: "tried by the next launch",
  unavailable: "not available (TCG instead)",
} as const satisfies Record<KvmReport["state"], string>;
