/**
 * `npm run kill-points -- [--points N] [--seed S] [--only TEXT]`: interrupts the Pulumi CLI and whatever takes part in its commands at
 * all moments of create, update and delete, goes on as a user would, and counts what went wrong. At most 4 stacks at once, one a
 * processor.
 */
import { availableParallelism } from "node:os";
import type { Report, Wrong } from "../test/kill-points/inflict.js";
import { livesOf, nameOf } from "../test/kill-points/points.js";
import { runLives } from "../test/kill-points/run.js";
import { ensureParts } from "./setup/index.js";
import { main } from "./steps.js";
import { countTable, interruption, orderOf } from "./suite.js";

const kinds: Wrong[] = ["orphan", "duplicate", "stuck", "other"];

const count = (reports: Report[], kind: Wrong): number =>
  reports.flatMap(({ wrong }) => wrong).filter((one) => one.kind === kind).length;

function describe({ point, reached, wrong, millis }: Report): string {
  const how = reached ? `${(millis / 1000).toFixed(1)} s` : "the command was done before";
  return [`${point} (${how})`, ...wrong.map(({ kind, what }) => `  ${kind.toUpperCase()} ${what}`)].join(
    "\n",
  );
}

function table(reports: Report[]): string {
  const groups = [...new Set(reports.map(({ point }) => point.split(" when ")[0]!.split(" at ")[0]!))].sort();
  const rows = groups.map((name): [string, ...number[]] => {
    const those = reports.filter(({ point }) => point.startsWith(`${name} `));
    return [name, those.length, ...kinds.map((kind) => count(those, kind))];
  });
  return countTable([["interrupted", "times", ...kinds], ...rows]);
}

await main(async () => {
  const names = livesOf(1000, 0).flat().map(nameOf);
  const {
    count: points,
    seed,
    only,
  } = orderOf(
    {
      name: "kill-points",
      does: "Interrupts Pulumi's CLI, plugin and program at all moments, and counts what went wrong.",
      what: "points",
      count: 100,
    },
    [...new Set(names)].sort(),
  );
  const env = await ensureParts(["qemu", "package", "pulumi", "appliance"]);
  const lives = livesOf(points, seed, only);
  const worlds = Math.min(4, availableParallelism(), lives.length);
  console.log(`${points} kill-points on ${worlds} stacks at once with seed ${seed}.`);

  const reports: Report[] = [];
  const tell = (report: Report): void => {
    reports.push(report);
    console.log(`${reports.length}/${points} ${describe(report)}`);
  };
  try {
    await runLives(lives, { worlds, env, tell, signal: interruption() });
  } finally {
    const reached = reports.filter((report) => report.reached);
    const counts = kinds.map((kind) => `${kind}: ${count(reports, kind)}`).join("\n");
    console.log(`\n${table(reached)}\n\nkill-points: ${reached.length}\n${counts}`);
  }
  return reports.length === points && reports.every(({ wrong }) => wrong.length === 0) ? 0 : 1;
});
