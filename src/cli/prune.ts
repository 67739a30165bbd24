import type { Command } from "commander";
import { MicroVmError } from "../errors.js";
import { pruneVms, type Leftover, type PruneOptions, type PruneReport } from "../launcher/index.js";
import { print, type JsonOption } from "./output.js";

/** `microvm prune`: clears away what VMs have left that are over. */
export function addPrune(program: Command): void {
  program
    .command("prune")
    .description(
      "remove what is left of VMs that are over, never a VM that runs; exit status 1 where that fails",
    )
    .option("--all", "also what is left of Pulumi stacks' VMs")
    .option("--dry-run", "only show what would be removed")
    .option("--json", "print JSON")
    .action(async ({ json, ...options }: PruneOptions & JsonOption) => {
      const report = await pruneVms(options);
      print(report, { json: json ?? false }, (one) => describe(one, options));
      const failed = report.kept.filter((one) => one.failed);
      if (failed.length === 0) return;
      const which = failed.map(({ path }) => path).join(", ");
      const hint = failed.find((one) => one.hint !== "")?.hint;
      throw new MicroVmError("Io", `cannot be judged or removed: ${which}`, {
        ...(hint !== undefined && { hint }),
      });
    });
}

function describe({ removed, kept }: PruneReport, { dryRun }: PruneOptions): string {
  const called = ({ vmId, path, what }: Leftover): string => `${vmId ?? path}: ${what}`;
  const lines = [
    ...removed.map((one) => `${dryRun ? "would remove" : "removed"} ${called(one)}`),
    ...kept.map((one) => `left ${called(one)}. ${one.hint}`),
  ];
  return lines.length === 0 ? "nothing to remove" : lines.join("\n");
}
