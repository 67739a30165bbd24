import type { Command } from "commander";
import { dryRun, type DryRun } from "../launcher/index.js";
import { inFlags } from "./flags.js";
import { interruptible } from "./interrupt.js";
import { fields, print, type JsonOption } from "./output.js";
import { showSteps } from "./progress.js";
import { addSpecOptions, specFrom, type SpecOptions } from "./spec-options.js";

/** `microvm dry-run FILE`: the command line a launch would use. */
export function addDryRun(program: Command): void {
  addSpecOptions(program.command("dry-run"))
    .description("show the QEMU command that run would start")
    .argument("<file>", "the RVF file")
    .option("--json", "print JSON")
    .action(async (file: string, options: SpecOptions & JsonOption) =>
      print(await interruptible((signal) => plan(file, options, signal)), options, (plan) =>
        [
          plan.argv.map(quote).join(" "),
          "",
          fields([
            ["Kernel", plan.kernelPath],
            ["Initramfs", plan.initramfsPath],
            ["Cmdline", plan.cmdline],
            ["KVM", plan.accelerator === "kvm" ? "yes" : "no (TCG)"],
            ["Memory", `${plan.memoryMb} MiB`],
            ["vCPUs", plan.vcpus],
            ["API port", plan.apiPort],
            ["SSH port", plan.sshPort],
          ]),
          ...plan.warnings.map((warning) => `warning: ${warning}`),
        ].join("\n"),
      ),
    );
}

/** An appliance that is not there takes time to build. */
async function plan(file: string, options: SpecOptions, signal: AbortSignal): Promise<DryRun> {
  using steps = showSteps();
  return await dryRun(specFrom(file, options), { signal, onProgress: (text) => steps.tell(inFlags(text)) });
}

/** For a POSIX shell, so that the line can be copied. */
const quote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
