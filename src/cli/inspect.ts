import type { Command } from "commander";
import { inspectRvf } from "../rvf/index.js";
import { print, type JsonOption } from "./output.js";
import { describeRvf } from "./rvf-text.js";
import { addTrustedKeys, trustFrom, type TrustOptions } from "./trust-options.js";

/** `microvm inspect FILE`: what an RVF holds, before anything of it is booted. */
export function addInspect(program: Command): void {
  addTrustedKeys(program.command("inspect"))
    .description("show what an RVF holds")
    .argument("<file>", "the RVF file")
    .option("--json", "print JSON")
    .action(async (file: string, options: TrustOptions & JsonOption) =>
      print(await inspectRvf(file, trustFrom(options)), options, describeRvf),
    );
}
