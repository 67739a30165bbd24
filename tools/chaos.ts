/**
 * `npm run chaos -- [--faults N] [--seed S] [--only TEXT]`: inflicts random faults on real VMs, in as many worlds at once as
 * there are processors (at most 4), and counts what was untrue or left behind.
 */
import { availableParallelism } from "node:os";
import { randomFrom } from "../test/chaos/random.js";
import { anyFault, faults, runFaults, type Report } from "../test/chaos/run.js";
import { ensureParts } from "./setup/index.js";
import { main } from "./steps.js";
import { countTable, interruption, orderOf } from "./suite.js";

function describe({ fault, seed, way, problems, millis }: Report, number: string): string {
  return [
    `${number} ${fault} -> ${way ?? "?"} (${(millis / 1000).toFixed(1)} s)`,
    ...problems.map((problem) => `  LEAK ${problem}`),
    ...(problems.length > 0
      ? [`  Again by: npm run chaos -- --faults 1 --only "${fault}" --seed ${seed}`]
      : []),
  ].join("\n");
}

const leaksIn = (reports: Report[]): number =>
  reports.reduce((sum, { problems }) => sum + problems.length, 0);

function table(reports: Report[]): string {
  const names = [...new Set(reports.map(({ fault }) => fault))].sort();
  const rows = names.map((name): [string, ...number[]] => {
    const those = reports.filter(({ fault }) => fault === name);
    return [name, those.length, leaksIn(those)];
  });
  return countTable([["fault", "times", "leaks"], ...rows]);
}

await main(async () => {
  const { count, seed, only } = orderOf(
    {
      name: "chaos",
      does: "Inflicts random faults on real VMs, and counts what was untrue or left behind.",
      what: "faults",
      count: 500,
    },
    faults.map(({ name }) => name),
  );
  const env = await ensureParts(["qemu", "appliance"]);
  const worlds = Math.min(4, availableParallelism(), count);
  console.log(`${count} faults in ${worlds} worlds with seed ${seed}.`);
  const signal = interruption();
  const random = randomFrom(seed);
  const orders = Array.from({ length: count }, (_, i) => ({
    fault: anyFault(random, only).name,
    seed: seed + i,
  }));
  const reports: Report[] = [];
  const tell = (report: Report): void => {
    reports.push(report);
    console.log(describe(report, `${String(reports.length).padStart(String(count).length)}/${count}`));
  };
  try {
    await runFaults(orders, { worlds, env, tell, signal });
  } finally {
    console.log(`\n${table(reports)}\n\nfaults: ${reports.length}\nleaks: ${leaksIn(reports)}`);
  }
  return leaksIn(reports) > 0 || reports.length < count ? 1 : 0;
});
