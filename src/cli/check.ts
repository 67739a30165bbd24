import { Option, type Command } from "commander";
import {
  architectures,
  checkRequirements,
  describeRequirements,
  MicroVmError,
  type Arch,
} from "../launcher/index.js";
import { print, type JsonOption } from "./output.js";

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
      print(report, { json: json ?? false }, describeRequirements);
      const [problem] = report.problems;
      if (problem) throw new MicroVmError(problem.code, problem.message, problem);
    });
}
