/** Many VMs of one saved state: how long they take at once, whether all answer, and what an idle one costs this host. */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { MicroVmHandle } from "../../src/launcher/index.js";
import type { Benchmark, Measured, Series } from "../benchmark.js";
import { withFleet, withLauncher } from "../launching.js";
import { ownVersion } from "../machine.js";
import { outcomeOf, seriesOf, type Outcome } from "../rounds.js";

/** How many at once. */
const COUNTS = [1, 10, 30, 100];
const COLD = 3;

/** Over how long an idle guest's processor time is counted, in milliseconds. */
const IDLE_MS = 10_000;

interface Cost {
  pssMiB: number[];
  cpuPercent: number[];
}

const fleetName = (count: number): string => (count === 1 ? "1 warm VM" : `${count} warm VMs`);
const timeOf = (count: number): string => `${fleetName(count)}, all answering`;
const pssOfEach = (count: number): string => `PSS of an idle warm VM, of ${count}`;

export const density: Benchmark = {
  title: `${COUNTS.join(", ")} warm VMs at once, emulated, 128 MiB, 3000 x 32 vectors`,
  parts: ["package", "qemu", "appliance"],
  charts: [
    {
      ...{
        kind: "curves",
        name: "time",
        title: "Warm VMs launched at once until all have answered, ms",
        x: "VMs",
      },
      lines: [{ label: "all answered", points: COUNTS.map((x) => ({ x, series: timeOf(x) })) }],
    },
    {
      ...{ kind: "curves", name: "memory", title: "PSS of each idle warm VM, MiB", x: "VMs" },
      lines: [{ label: "each VM", points: COUNTS.map((x) => ({ x, series: pssOfEach(x) })) }],
    },
  ],
  run: async (say, env) =>
    await withLauncher(env, async ({ launch, rvfPath }) => {
      const start = (warmStart: boolean) => launch({ rvfPath, apiPort: 0, enableKvm: false, warmStart });
      // It saves the state from which the others go on.
      await (await start(true)).destroy();
      const measured = (count: number, warm: boolean): Promise<Outcome<Sight>> =>
        outcomeOf(async () => {
          const one = () => start(warm);
          const sight = await withFleet(count, one, async ({ vms, millis }) => ({
            millis,
            ...(await costOf(vms)),
          }));
          say(`${count} ${warm ? "warm" : "cold"}: all answered`);
          return sight;
        });
      const cold = await measured(COLD, false);
      const warm: Fleet[] = [];
      for (const count of COUNTS) warm.push({ count, outcome: await measured(count, true) });
      return { ...evaluate(cold, warm), versions: { "pulumi-microvm": await ownVersion() } };
    }),
};

/** Of a fleet that answers: how long that took, and what it costs while nobody asks it. */
type Sight = Cost & { millis: number };

async function costOf(vms: readonly MicroVmHandle[]): Promise<Cost> {
  const ticks = async () => await Promise.all(vms.map(({ pid }) => ticksOf(pid)));
  const before = await ticks();
  await sleep(IDLE_MS);
  const after = await ticks();
  // A tick is 10 ms (proc(5)).
  const cpuPercent = after.map((now, i) => ((now - before[i]!) * 10 * 100) / IDLE_MS);
  return { cpuPercent, pssMiB: await Promise.all(vms.map(({ pid }) => pssOf(pid))) };
}

/** Memory that is shared counts in equal parts for all that share it. */
async function pssOf(pid: number): Promise<number> {
  const [, kB] = /^Pss: +(\d+) kB$/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, "utf8"))!;
  return Number(kB) / 1024;
}

async function ticksOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  return Number(user) + Number(system);
}

interface Fleet {
  count: number;
  outcome: Outcome<Sight>;
}

function evaluate(cold: Outcome<Sight>, warm: Fleet[]): Omit<Measured, "versions"> {
  const costs = (
    { samples, failure }: Outcome<Sight>,
    series: Omit<Series, "samples">,
    pick: (sight: Sight) => number[],
  ): Series => ({ ...series, samples: samples.flatMap(pick), ...(failure !== undefined && { failure }) });
  const all = (series: (fleet: Fleet) => Series): Series[] => warm.map(series);
  const cpu = "CPU of an idle";
  return {
    method: [
      "Each fleet is launched at once by one process, through the launcher's queue; then each VM answers a query, and for 10 s nobody asks.",
      "PSS: memory that several processes share is counted in equal parts. CPU: of one processor, user and system time of QEMU.",
    ],
    series: [
      ...all(({ count, outcome }) => ({
        ...seriesOf(outcome, { name: timeOf(count), unit: "ms" }, ({ millis }) => millis),
        ...(count === 30 && { target: { atMost: 3000 } }),
      })),
      costs(
        cold,
        { name: "PSS of an idle cold VM", unit: "MiB", target: { atMost: 60 } },
        ({ pssMiB }) => pssMiB,
      ),
      ...all(({ count, outcome }) => ({
        ...costs(outcome, { name: pssOfEach(count), unit: "MiB" }, ({ pssMiB }) => pssMiB),
        ...(count === 30 && { target: { atMost: 16 } }),
      })),
      costs(cold, { name: `${cpu} cold VM, per cent`, unit: "" }, ({ cpuPercent }) => cpuPercent),
      ...all(({ count, outcome }) =>
        costs(
          outcome,
          { name: `${cpu} warm VM, of ${count}, per cent`, unit: "" },
          ({ cpuPercent }) => cpuPercent,
        ),
      ),
    ],
    ratios: [],
  };
}
