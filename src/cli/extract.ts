import type { Command } from "commander";
import { extractToFiles, type RvfReport } from "../rvf/index.js";
import { interruptible } from "./interrupt.js";
import { note, print, type JsonOption } from "./output.js";
import { addTrustOptions, trustFrom, type TrustOptions } from "./trust-options.js";

interface Options extends TrustOptions, JsonOption {
  output: string;
  initramfs?: string;
}

/** `microvm extract FILE -o KERNEL`: the kernel, checked, as a file. */
export function addExtract(program: Command): void {
  addTrustOptions(program.command("extract"))
    .description("write the kernel of an RVF to a file")
    .argument("<file>", "the RVF file")
    .requiredOption("-o, --output <file>", "the file for the kernel")
    .option("--initramfs <file>", "the file for the initramfs behind the kernel")
    .option("--json", "print JSON")
    .action(async (file: string, options: Options) => {
      const { output: kernel, initramfs } = options;
      const report = await interruptible((signal) =>
        extractToFiles(file, { kernel, initramfs, signal, ...trustFrom(options) }),
      );
      if (!options.json) tell(report, initramfs);
      print(report, options, ({ written }) =>
        [written.kernel, ...(written.initramfs === null ? [] : [written.initramfs])].join("\n"),
      );
    });
}

/** What the JSON has anyway. */
function tell({ warnings, kernel }: RvfReport, initramfs: string | undefined): void {
  for (const warning of warnings) note(`warning: ${warning}`);
  if (kernel?.initramfs && initramfs === undefined)
    note("note: there is an initramfs behind the kernel; --initramfs FILE writes it.");
}
