import type { Command } from "commander";
import { pruneVms, type Leftover, type PruneOptions, type PruneReport } from "../launcher/index.js";
import { print, type JsonOption } from "./output.js";

/** `microvm prune`: clears away what VMs have left that are over. */
export function addPrune(program: Command): void {
  program
    .command("prune")
    .description("remove what is left of VMs that are over; never a VM that runs")
    .option("--all", "also what is left of Pulumi stacks' VMs")
    .option("--dry-run", "only show what would be removed")
    .option("--json", "print JSON")
    .action(async ({ json, ...options }: PruneOptions & JsonOption) =>
      print(await pruneVms(options), { json: json ?? false }, (report) => describe(report, options)),
    );
}

function describe({ removed, kept }: PruneReport, { dryRun }: PruneOptions): string {
  const called = ({ vmId, path, what }: Leftover): string => `${vmId ?? path}: ${what}`;
  const lines = [
    ...removed.map((one) => `${dryRun ? "would remove" : "removed"} ${called(one)}`),
    ...kept.map((one) => `left ${called(one)}. ${one.hint}`),
  ];
  return lines.length === 0 ? "nothing to remove" : lines.join("\n");
}
