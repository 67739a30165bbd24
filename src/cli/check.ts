import { Option, type Command } from "commander";
import {
  architectures,
  checkRequirements,
  MicroVmError,
  type Arch,
  type RequirementsReport,
} from "../launcher/index.js";
import { fields, print, type JsonOption } from "./output.js";

/** `microvm check`: whether this host has what a launch needs. */
export function addCheck(program: Command): void {
  program
    .command("check")
    .description("check what this host has")
    .addOption(
      new Option("--arch <arch>", "the guest's architecture").choices(architectures).default("x86_64"),
    )
    .option("--json", "print JSON")
    .action(async ({ arch, json }: JsonOption & { arch: Arch }) => {
      const report = await checkRequirements(arch);
      print(report, { json: json ?? false }, describe);
      if (!report.qemu) {
        throw new MicroVmError("QemuNotFound", `there is no QEMU for ${arch} guests`, {
          hint: report.installHint,
        });
      }
    });
}

function describe({ qemu, kvmAvailable, kvmObstacle, installHint }: RequirementsReport): string {
  return fields([
    ["QEMU", qemu ? `${qemu.version} at ${qemu.binary}` : `not found; install it: ${installHint}`],
    ["KVM", kvmAvailable ? "may be tried; a boot shows whether it works" : `not used: ${kvmObstacle}`],
  ]);
}
