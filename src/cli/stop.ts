import type { Command } from "commander";
import { describeShutdown, destroyVm, findRecord } from "../launcher/index.js";
import { note, print, type JsonOption } from "./output.js";

/** `microvm stop ID` powers a VM down, `microvm kill ID` ends it at once; both remove what it left. */
export function addStop(program: Command): void {
  add(program, "stop", "power a VM down and remove its files", "powerdown");
  add(program, "kill", "end a VM at once and remove its files", "sigkill");
}

function add(program: Command, name: string, description: string, from: "powerdown" | "sigkill"): void {
  program
    .command(name)
    .description(description)
    .argument("<id>", "id or name")
    .option("--json", "print JSON")
    .action(async (id: string, options: JsonOption) => {
      const { vmId, owner } = await findRecord(id);
      if (owner)
        note(
          `${vmId} belongs to the Pulumi stack ${owner.project}/${owner.stack}; its next \`up\` starts it again.`,
        );
      const report = await destroyVm(vmId, { from });
      print(
        { vmId, ...report },
        options,
        () => `${vmId}: ${describeShutdown(report)}; its files are removed`,
      );
    });
}
