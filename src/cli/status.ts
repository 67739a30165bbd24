import type { Command } from "commander";
import { findRecord, statusOfRecord } from "../launcher/index.js";
import { print, type JsonOption } from "./output.js";
import { describeVm } from "./run.js";

/** `microvm status ID`: what a VM is right now. */
export function addStatus(program: Command): void {
  program
    .command("status")
    .description("show one VM")
    .argument("<id>", "id or name")
    .option("--json", "print JSON")
    .action(async (id: string, options: JsonOption) =>
      print(await statusOfRecord(await findRecord(id)), options, describeVm),
    );
}
