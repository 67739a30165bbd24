/**
 * `npm run chaos -- [--faults N] [--seed S] [--only TEXT]`: inflicts random faults on real VMs, in as many worlds at once as
 * there are processors (at most 4), and counts what was untrue or left behind.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { randomFrom } from "../test/chaos/random.js";
import { anyFault, faults, type Report } from "../test/chaos/run.js";
import { runFaults } from "../test/chaos/workers.js";
import { ensureParts } from "./setup/index.js";
import { main } from "./steps.js";

function orderOf(args: string[]): { count: number; seed: number; only: string } {
  const options = {
    faults: { type: "string", default: "500" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string", default: "" },
  } as const;
  const { values } = parseArgs({ args, options });
  const numberOf = (name: "faults" | "seed"): number => {
    if (/^\d{1,9}$/.test(values[name])) return Number(values[name]);
    throw new Error(`--${name} takes a whole number, not "${values[name]}".`);
  };
  if (faults.some(({ name }) => name.includes(values.only)))
    return { count: numberOf("faults"), seed: numberOf("seed"), only: values.only };
  throw new Error(
    `No fault has "${values.only}" in its name. There are:\n${faults.map(({ name }) => name).join("\n")}`,
  );
}

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
  const width = Math.max(0, ...names.map((name) => name.length));
  const row = (...[name, ...numbers]: [string, ...unknown[]]): string =>
    [name.padEnd(width), ...numbers.map((number) => String(number).padStart(6))].join(" ");
  const rows = names.map((name) => {
    const those = reports.filter(({ fault }) => fault === name);
    return row(name, those.length, leaksIn(those));
  });
  return [row("fault", "times", "leaks"), ...rows].join("\n");
}

await main(async () => {
  const { count, seed, only } = orderOf(process.argv.slice(2));
  const env = await ensureParts(["qemu", "appliance"]);
  const worlds = Math.min(4, availableParallelism(), count);
  console.log(`${count} faults in ${worlds} worlds with seed ${seed}.`);
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => interrupted.abort());

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
    await runFaults(orders, { worlds, env, tell, signal: interrupted.signal });
  } finally {
    console.log(`\n${table(reports)}\n\nfaults: ${reports.length}\nleaks: ${leaksIn(reports)}`);
  }
  return leaksIn(reports) > 0 || reports.length < count ? 1 : 0;
});
