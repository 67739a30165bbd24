/** Many VMs of one saved state: how long they take at once, whether all answer, and what an idle one costs this host. */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { MicroVmHandle } from "../../src/launcher/index.js";
import type { Benchmark, Measured } from "../benchmark.js";
import { withFleet, withLauncher } from "../launching.js";
import { ownVersion } from "../machine.js";

const AT_ONCE = 30;
const MANY = 100;
const COLD = 3;

/** Over how long an idle guest's processor time is counted, in milliseconds. */
const IDLE_MS = 10_000;

interface Cost {
  pssMiB: number[];
  cpuPercent: number[];
}

export const density: Benchmark = {
  title: `${AT_ONCE} and ${MANY} warm VMs at once, emulated, 128 MiB, 3000 x 32 vectors`,
  parts: ["package", "qemu", "appliance"],
  charts: [],
  run: async (say, env) =>
    await withLauncher(env, async ({ launch, rvfPath }) => {
      const start = (warmStart: boolean) => launch({ rvfPath, apiPort: 0, enableKvm: false, warmStart });
      // It saves the state from which the others go on.
      await (await start(true)).destroy();
      const measured = async (count: number, warm: boolean): Promise<Sight> =>
        await withFleet(
          count,
          () => start(warm),
          async ({ vms, millis }) => {
            say(`${count} VMs: all answered`);
            return { millis, ...(await costOf(vms)) };
          },
        );
      const cold = await measured(COLD, false);
      const warm = await measured(AT_ONCE, true);
      const many = await measured(MANY, true);
      return { ...evaluate(cold, warm, many), versions: { "pulumi-microvm": await ownVersion() } };
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

function evaluate(cold: Sight, warm: Sight, many: Sight): Omit<Measured, "versions"> {
  return {
    method: [
      "Each fleet is launched at once by one process, through the launcher's queue; then each VM answers a query, and for 10 s nobody asks.",
      "PSS: memory that several processes share is counted in equal parts. CPU: of one processor, user and system time of QEMU.",
    ],
    series: [
      {
        name: `${AT_ONCE} warm VMs, all answering`,
        unit: "ms",
        samples: [warm.millis],
        target: { atMost: 3000 },
      },
      { name: `${MANY} warm VMs, all answering`, unit: "ms", samples: [many.millis] },
      { name: "PSS of an idle cold VM", unit: "MiB", samples: cold.pssMiB, target: { atMost: 60 } },
      {
        name: `PSS of an idle warm VM, of ${AT_ONCE}`,
        unit: "MiB",
        samples: warm.pssMiB,
        target: { atMost: 16 },
      },
      { name: `PSS of an idle warm VM, of ${MANY}`, unit: "MiB", samples: many.pssMiB },
      { name: "CPU of an idle cold VM, per cent", unit: "", samples: cold.cpuPercent },
      { name: `CPU of an idle warm VM, of ${MANY}, per cent`, unit: "", samples: many.cpuPercent },
    ],
    ratios: [],
  };
}
