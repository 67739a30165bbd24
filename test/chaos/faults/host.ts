/** What can happen to the host: its disk, its clock, its ports, its cache. */
import { chmod, readdir, rm, truncate, utimes } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { destroyVm, isPortFree, updateVm, type VmSpecInput } from "../../../src/launcher/index.js";
import { readRecord } from "../../../src/launcher/record/record.js";
import { writeRecord } from "../../../src/launcher/record/write.js";
import { vmDir } from "../../../src/launcher/record/vm-folder.js";
import { vmsDir } from "../../../src/paths.js";
import { freePort } from "../../support/ports.js";
import { eventually } from "../../support/wait.js";
import { startLauncher } from "../launcher.js";
import { processesIn } from "../processes.js";
import type { World } from "../world.js";
import type { Fault, Wound } from "./fault.js";
import { endsWith, grown, killNow, launching, moment, wounded } from "./parts.js";

const years = 365 * 24 * 3600 * 1000;

/** Where the world has no disk of its own that could be full, files cannot grow beyond a block. */
const noGrowth = ({ hasDisk }: World) => (hasDisk ? {} : { limits: "-f 1" });
const fullDisk = async (world: World) => (world.hasDisk ? await world.fillDisk() : async () => {});

/** Nobody may write below the VMs' folder; an operation then fails, and says so. */
async function readOnly(world: World): Promise<() => Promise<void>> {
  if (world.hasDisk) return await world.makeReadOnly(vmsDir());
  await chmod(vmsDir(), 0o500);
  return async () => await chmod(vmsDir(), 0o700);
}

const clocks = [-30 * years, -3_600_000, -61_000, 5000, 3_600_000, 10 * years];
const clockOf = ({ random }: World) => ({ offByMs: random.pick(clocks), afterMs: random.below(1500) });

export const hostFaults: Fault[] = [
  {
    name: "disk full when a VM is launched",
    inflict: async (world) => {
      const heal = await fullDisk(world);
      const wound = await launching(world, {}, ({ outcome }) => outcome, noGrowth(world));
      return { ...wound, heal };
    },
    then: ["none"],
    waysOn: ["nothing", "again"],
  },
  {
    name: "disk full in the midst of a launch",
    inflict: async (world) => {
      let heal = async () => {};
      const wound = await launching(world, {}, async ({ begun, outcome }) => {
        await begun;
        await sleep(moment(world, 1500));
        heal = await fullDisk(world);
        return await outcome;
      });
      return { ...wound, heal };
    },
    then: ["none", "running"],
    waysOn: ["again", "destroy"],
  },
  {
    name: "disk full when ports change",
    inflict: (world) =>
      wounded(world, async ({ vmId, spec }) => {
        const heal = await fullDisk(world);
        const next = { ...spec, apiPort: await freePort() };
        await startLauncher({ does: "update", vmId, spec: next }, noGrowth(world)).outcome;
        return { heal };
      }),
    then: ["running"],
    waysOn: ["nothing", "relaunch", "change", "destroy"],
  },
  {
    name: "disk full in the midst of a relaunch",
    inflict: (world) =>
      wounded(world, async ({ vmId, spec }) => {
        const { begun, outcome } = startLauncher({ does: "update", vmId, spec: grown(world, spec) });
        await begun;
        await sleep(moment(world, 1500));
        const heal = await fullDisk(world);
        await outcome;
        return { heal };
      }),
    // A full disk takes no evidence.
    then: ["running", "creating", "exited clean", "exited killed", "exited unknown"],
    waysOn: ["relaunch", "change", "destroy", "kill"],
  },
  {
    name: "disk full when a VM is removed",
    inflict: (world) => wounded(world, async () => ({ heal: await fullDisk(world), healAfter: true })),
    then: ["running"],
    waysOn: ["destroy", "kill"],
  },
  {
    name: "state read-only",
    inflict: (world) =>
      wounded(world, async ({ vmId, spec }) => {
        const heal = await readOnly(world);
        const next: VmSpecInput = { ...spec, apiPort: await freePort() };
        await endsWith(world.hasDisk ? ["Io"] : ["Io", "success"], updateVm(vmId, next));
        return { heal };
      }),
    then: ["running"],
    waysOn: ["nothing", "relaunch", "change", "destroy", "kill"],
  },
  {
    name: "state read-only when a VM is removed",
    inflict: (world) =>
      wounded(world, async ({ vmId }) => {
        const heal = await readOnly(world);
        await endsWith(["Io"], destroyVm(vmId));
        return { heal };
      }),
    then: ["exited clean", "exited unknown"],
    waysOn: ["relaunch", "destroy", "kill", "prune"],
  },
  {
    name: "clock jumps during a launch",
    inflict: (world) => launching(world, {}, ({ outcome }) => outcome, { clock: clockOf(world) }),
    then: ["running"],
    waysOn: ["nothing", "relaunch", "change", "destroy"],
  },
  {
    name: "clock jumps during a relaunch",
    inflict: (world) =>
      wounded(world, async ({ vmId, spec }) => {
        const next = grown(world, spec);
        await startLauncher({ does: "update", vmId, spec: next, clock: clockOf(world) }).outcome;
        return { spec: next };
      }),
    then: ["running"],
    waysOn: ["nothing", "relaunch", "destroy"],
  },
  {
    name: "every file of a VM is from another time",
    inflict: (world) =>
      wounded(world, async ({ vmId }) => {
        const time = new Date(Date.now() + world.random.pick(clocks));
        const names = await readdir(vmDir(vmId), { recursive: true });
        for (const name of names) await utimes(join(vmDir(vmId), name), time, time).catch(() => {});
      }),
    then: ["running"],
    waysOn: ["nothing", "relaunch", "change", "destroy"],
  },
  {
    name: "host booted anew",
    inflict: (world) =>
      wounded(world, async ({ vmId, pid }) => {
        const all = await processesIn(world.dir);
        const session = all.find((one) => one.pid === pid)!.session;
        const record = (await readRecord(vmId))!;
        // First those that would write down how it ended.
        const others = all.filter((one) => one.session === session && one.pid !== pid);
        await killNow(world, ...others.map((one) => one.pid), pid);
        // Another process has its number by now.
        const hostBootId = "00000000-1111-2222-3333-444444444444";
        await writeRecord({ ...record, generation: { ...record.generation!, hostBootId, pid: process.pid } });
      }),
    then: ["exited hostReboot"],
    waysOn: ["relaunch", "change", "destroy", "kill", "prune"],
  },
  {
    name: "port taken by somebody while the VM is down",
    inflict: (world) =>
      wounded(world, async ({ vmId, spec, pid, boundApiPort }): Promise<Partial<Wound>> => {
        await killNow(world, pid);
        // QEMU's last thread closes its ports.
        await eventually(() => isPortFree(boundApiPort));
        const thief = createServer().listen(boundApiPort, "127.0.0.1");
        await once(thief, "listening");
        await endsWith(["PortInUse"], updateVm(vmId, { ...spec, apiPort: boundApiPort }));
        const heal = async () => await new Promise<void>((done) => thief.close(() => done()));
        return { spec: { ...spec, apiPort: 0 }, heal, healAfter: true };
      }),
    then: ["exited killed"],
    waysOn: ["relaunch", "change", "destroy"],
  },
  {
    name: "cache removed or damaged",
    inflict: (world) =>
      wounded(world, async ({ pid }) => {
        await killNow(world, pid);
        const cache = process.env["MICROVM_CACHE_DIR"]!;
        if (world.random.below(2) === 0) return await rm(cache, { recursive: true });
        for (const entry of await readdir(cache, { recursive: true, withFileTypes: true }))
          if (entry.isFile()) await truncate(join(entry.parentPath, entry.name), world.random.below(5000));
      }),
    then: ["exited killed"],
    waysOn: ["relaunch", "change"],
  },
];
