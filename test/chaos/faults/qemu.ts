/** What can happen to QEMU and what lies beside it. */
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readRecord } from "../../../src/launcher/record/record.js";
import { connectQmp } from "../../../src/qmp/index.js";
import { eventually } from "../../support/wait.js";
import { startLauncher } from "../launcher.js";
import { processesIn } from "../processes.js";
import type { World } from "../world.js";
import type { Fault, Wound } from "./fault.js";
import { grown, killNow, launching, moment, qemus, wounded } from "./parts.js";

const everyWay = ["relaunch", "change", "destroy", "kill"] as const;

/** The processes that were started with QEMU and stay beside it. */
async function companions(world: World, pid: number): Promise<number[]> {
  const all = await processesIn(world.dir);
  const session = all.find((one) => one.pid === pid)?.session;
  return all.filter((one) => one.session === session && one.pid !== pid).map((one) => one.pid);
}

const monitorsOf = async (vmId: string): Promise<string[]> => {
  const { controlSocket, qmpSocket } = (await readRecord(vmId))!.generation!;
  return [controlSocket, qmpSocket];
};

/** Kills the one or the other once both are there. */
async function duringUpdate(world: World, choose: (serving: number, next: number) => number): Promise<Wound> {
  return await wounded(world, async ({ vmId, pid, spec }) => {
    const wanted = grown(world, spec);
    const { outcome } = startLauncher({ does: "update", vmId, spec: wanted });
    const next = eventually(async () => (await qemus(world, vmId)).find((one) => one.pid !== pid));
    const vm = await Promise.race([next, outcome.then(() => undefined)]);
    await sleep(moment(world, 1500));
    if (vm) await killNow(world, choose(pid, vm.pid));
    await outcome;
    return { spec: wanted };
  });
}

export const qemuFaults: Fault[] = [
  {
    name: "QEMU killed while it runs",
    inflict: (world) => wounded(world, async ({ pid }) => await killNow(world, pid)),
    then: ["exited killed"],
    waysOn: everyWay,
  },
  {
    name: "QEMU killed with all that watches it",
    inflict: (world) =>
      wounded(world, async ({ pid }) => await killNow(world, ...(await companions(world, pid)), pid)),
    then: ["exited unknown"],
    waysOn: everyWay,
  },
  {
    name: "what watches QEMU killed",
    inflict: (world) =>
      wounded(world, async ({ pid }) => await killNow(world, ...(await companions(world, pid)))),
    then: ["running"],
    waysOn: [...everyWay, "nothing"],
  },
  {
    name: "QEMU killed during a launch",
    inflict: (world) =>
      launching(world, {}, async ({ outcome }) => {
        const came = eventually(async () => (await qemus(world))[0]);
        const vm = await Promise.race([came, outcome.then(() => undefined)]);
        await sleep(moment(world, 1500));
        if (vm) await killNow(world, vm.pid);
        return await outcome;
      }),
    then: ["none", "running", "exited killed"],
    waysOn: ["again", "destroy"],
  },
  {
    name: "the QEMU that boots beside killed",
    inflict: (world) => duringUpdate(world, (_, next) => next),
    then: ["running", "exited killed"],
    waysOn: everyWay,
  },
  {
    name: "the QEMU that serves killed while the next one boots beside",
    inflict: (world) => duringUpdate(world, (serving) => serving),
    then: ["running"],
    waysOn: everyWay,
  },
  {
    name: "QEMU killed during a power-off",
    inflict: (world) =>
      wounded(world, async ({ vmId, pid }) => {
        const { begun, outcome } = startLauncher({ does: "destroy", vmId });
        await begun;
        await sleep(moment(world, 200));
        await killNow(world, pid);
        await outcome;
      }),
    then: ["none"],
    waysOn: ["destroy", "relaunch"],
  },
  {
    name: "QEMU stopped",
    inflict: (world) =>
      wounded(world, async ({ pid }) => {
        process.kill(pid, "SIGSTOP");
        await eventually(
          async () => (await processesIn(world.dir)).find((one) => one.pid === pid)?.state === "T",
        );
      }),
    then: ["paused"],
    waysOn: everyWay,
  },
  {
    name: "QEMU stopped and continued",
    inflict: (world) =>
      wounded(world, async ({ pid }) => {
        process.kill(pid, "SIGSTOP");
        await sleep(world.random.below(500));
        process.kill(pid, "SIGCONT");
      }),
    then: ["running"],
    waysOn: [...everyWay, "nothing"],
  },
  {
    name: "the guest halted through QMP",
    inflict: (world) =>
      wounded(world, async ({ qmpSocket }) => {
        await using monitor = await connectQmp(qmpSocket);
        await monitor.execute("stop");
      }),
    then: ["paused"],
    waysOn: everyWay,
  },
  {
    name: "the launcher's monitor socket deleted",
    inflict: (world) =>
      wounded(world, async ({ vmId }) => await rm((await monitorsOf(vmId))[0]!, { force: true })),
    then: ["running"],
    waysOn: [...everyWay, "nothing"],
  },
  {
    name: "both monitor sockets deleted",
    inflict: (world) =>
      wounded(world, async ({ vmId }) => {
        for (const socket of await monitorsOf(vmId)) await rm(socket, { force: true });
      }),
    then: ["unresponsive"],
    waysOn: ["change", "destroy", "kill"],
  },
  {
    name: "a cleaner of temporary files removes the sockets' folder",
    inflict: (world) =>
      wounded(world, async ({ qmpSocket }) => {
        const folder = dirname(qmpSocket);
        if (folder.startsWith(process.env["TMPDIR"]!)) await rm(folder, { recursive: true });
      }),
    then: ["running", "unresponsive"],
    waysOn: ["change", "destroy", "kill"],
  },
  {
    name: "both monitors held by others",
    weight: 0.3,
    inflict: (world) =>
      wounded(world, async ({ vmId }) => {
        const held = await Promise.all((await monitorsOf(vmId)).map(async (path) => await connectQmp(path)));
        return {
          heal: async () => {
            for (const monitor of held) await monitor.close();
          },
          healAfter: true,
        };
      }),
    then: ["unresponsive"],
    waysOn: ["destroy", "kill"],
  },
  {
    name: "a cleaner of logs removes what QEMU writes",
    inflict: (world) =>
      wounded(world, async ({ consoleLog }) => {
        const folder = dirname(consoleLog);
        for (const name of ["console.log", "qemu.stderr", "qemu.pid", "ready", "argv.json"])
          await rm(join(folder, name), { force: true });
      }),
    then: ["running"],
    // A launch of the same would leave it running, and the next fault could not be told apart by its words.
    waysOn: ["change", "destroy", "kill"],
  },
];
