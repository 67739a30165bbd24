/**
 * `npm run chaos -- [--faults N] [--seed S] [--only TEXT]`: inflicts random faults on real VMs, in as many worlds at once as
 * there are processors (at most 4), and counts what was untrue or left behind.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Report } from "../test/chaos/run.js";
import type { ChaosMessage, ChaosOrder } from "../test/chaos/worker.js";
import { ensureParts, type PartsEnvironment } from "./setup/index.js";
import { fromRepository } from "./setup/repository.js";
import { main } from "./steps.js";

function orderOf(args: string[]): ChaosOrder {
  const options = {
    faults: { type: "string", default: "500" },
    seed: { type: "string" },
    only: { type: "string" },
  } as const;
  const { values } = parseArgs({ args, options });
  const numberOf = (name: "faults" | "seed", text: string): number => {
    if (/^\d{1,9}$/.test(text)) return Number(text);
    throw new Error(`--${name} takes a whole number, not "${text}".`);
  };
  const seed = numberOf("seed", values.seed ?? String(Date.now() % 1_000_000));
  return { seed, count: numberOf("faults", values.faults), only: values.only };
}

/** Runs one world's share in a process of its own. */
async function runWorker(order: ChaosOrder, env: PartsEnvironment, tell: (report: Report) => void) {
  const child = fork(fromRepository("test/chaos/worker.ts"), {
    execArgv: ["--import", "tsx"],
    env: { ...process.env, ...env },
  });
  let failure: string | undefined;
  child.on("message", (message: ChaosMessage) => {
    if ("report" in message) tell(message.report);
    else failure = message.failure;
  });
  child.send(order);
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  if (failure !== undefined || code !== 0) throw new Error(failure ?? `a worker ended (${signal ?? code})`);
}

function describe({ fault, way, problems, millis }: Report, number: number, count: number): string {
  const line = `${String(number).padStart(String(count).length)}/${count} ${fault} -> ${way ?? "?"} (${(millis / 1000).toFixed(1)} s)`;
  return [line, ...problems.map((problem) => `  PROBLEM ${problem}`)].join("\n");
}

function table(reports: Report[]): string {
  const names = [...new Set(reports.map(({ fault }) => fault))].sort();
  const width = Math.max(...names.map((name) => name.length));
  return names
    .map((name) => {
      const those = reports.filter(({ fault }) => fault === name);
      const leaks = those.reduce((sum, { problems }) => sum + problems.length, 0);
      return `${name.padEnd(width)} ${String(those.length).padStart(5)} ${String(leaks).padStart(5)}`;
    })
    .join("\n");
}

await main(async () => {
  const { seed, count, only } = orderOf(process.argv.slice(2));
  const env = await ensureParts(["qemu", "appliance"]);
  const workers = Math.min(4, availableParallelism(), count);
  console.log(`${count} faults in ${workers} worlds with seed ${seed}.`);
  // The workers are told by the terminal or the task's group, and clear away what they made.
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => {});
  const reports: Report[] = [];
  const tell = (report: Report): void => {
    reports.push(report);
    console.log(describe(report, reports.length, count));
  };
  const share = (i: number): number => Math.floor(count / workers) + (i < count % workers ? 1 : 0);
  const runs = Array.from({ length: workers }, (_, i) =>
    runWorker({ seed: seed + i, count: share(i), only }, env, tell),
  );
  const ends = await Promise.allSettled(runs);
  const failures = ends.flatMap((end) => (end.status === "rejected" ? [String(end.reason)] : []));
  const leaks = reports.reduce((sum, { problems }) => sum + problems.length, 0);
  console.log(`\n${table(reports)}\n`);
  for (const failure of failures) console.error(failure);
  console.log(`faults: ${reports.length}, leaks: ${leaks}`);
  return leaks > 0 || failures.length > 0 || reports.length < count ? 1 : 0;
});
