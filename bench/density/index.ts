/** Many VMs of one saved state: how long they take at once, whether all answer, and what an idle one costs this host. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { launch as Launch, MicroVmHandle } from "../../src/launcher/index.js";
import { makeSampleRvf, sampleQuery } from "../../tools/sample-rvf.js";
import { fromRepository } from "../../tools/setup/repository.js";
import type { Benchmark, Measured } from "../benchmark.js";
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
  run: async (say, { PATH, MICROVM_APPLIANCE: image }) => {
    process.env["PATH"] = PATH;
    const folder = await mkdtemp(join(tmpdir(), "microvm-bench-"));
    process.env["MICROVM_STATE_DIR"] = join(folder, "state");
    process.env["MICROVM_CACHE_DIR"] = join(folder, "cache");
    try {
      const rvfPath = join(folder, "sample.rvf");
      await makeSampleRvf(rvfPath, { image });
      const { launch } = (await import(fromRepository("dist/launcher/index.js"))) as {
        launch: typeof Launch;
      };
      const start = (warmStart: boolean) => launch({ rvfPath, apiPort: 0, enableKvm: false, warmStart });
      // It saves the state from which the others go on.
      await (await start(true)).destroy();
      const cold = await withFleet(COLD, () => start(false), say);
      const warm = await withFleet(AT_ONCE, () => start(true), say);
      const many = await withFleet(MANY, () => start(true), say);
      return { ...evaluate(cold, warm, many), versions: { "pulumi-microvm": await ownVersion() } };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

type Fleet = Cost & { millis: number };

/** Starts so many at once, has each answer, and looks at what they cost while nobody asks them. Throws where one does not answer. */
async function withFleet(
  count: number,
  start: () => Promise<MicroVmHandle>,
  say: (line: string) => void,
): Promise<Fleet> {
  const begin = performance.now();
  const launches = await Promise.allSettled(Array.from({ length: count }, start));
  const vms = launches.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  try {
    const failed = launches.find((one) => one.status === "rejected");
    if (failed) throw failed.reason;
    await Promise.all(vms.map((vm) => vm.query(sampleQuery(1), 1)));
    const millis = performance.now() - begin;
    say(`${count} VMs: all answered`);
    return { millis, ...(await costOf(vms)) };
  } finally {
    await Promise.all(vms.map((vm) => vm.destroy()));
  }
}

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

function evaluate(cold: Fleet, warm: Fleet, many: Fleet): Omit<Measured, "versions"> {
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
