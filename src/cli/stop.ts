import type { Command } from "commander";
import {
  describeShutdown,
  destroyVm,
  findRecord,
  MicroVmError,
  type DestroyReport,
} from "../launcher/index.js";
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
      const record = await findRecord(id).catch((error: unknown) => error as MicroVmError);
      const { vmId, owner } = record instanceof MicroVmError ? { vmId: id, owner: null } : record;
      if (owner)
        note(
          `${vmId} belongs to the Pulumi stack ${owner.project}/${owner.stack}; its next \`up\` starts it again.`,
        );
      const report =
        record instanceof MicroVmError ? await endLost(id, from, record) : await destroyVm(vmId, { from });
      print({ vmId, ...report }, options, () => {
        const others = report.calledOff ? "; who was at work on it is called off" : "";
        return `${vmId}: ${describeShutdown(report)}${others}; its files are removed`;
      });
    });
}

/** One whose record is damaged or lost is found by its id alone; `error` is why there is none. */
async function endLost(
  id: string,
  from: "powerdown" | "sigkill",
  error: MicroVmError,
): Promise<DestroyReport> {
  const report = await destroyVm(id, { from }).catch((failure: unknown) => {
    // What can be no id was meant as a name.
    throw failure instanceof MicroVmError && failure.code === "InvalidArgument" ? error : failure;
  });
  if (report.rung === "gone" && !report.removed) throw error;
  return report;
}
