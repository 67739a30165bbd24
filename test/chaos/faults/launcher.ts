/** What can happen to the process that launches, changes or ends a VM, at whatever phase that is. */
import { rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { destroyVm, pruneVms, updateVm } from "../../../src/launcher/index.js";
import { readRecord, type VmRecord } from "../../../src/launcher/record/record.js";
import { freePort } from "../../support/ports.js";
import { eventually } from "../../support/wait.js";
import { partialFiles } from "../audit.js";
import { killAfter, startLauncher } from "../launcher.js";
import type { World } from "../world.js";
import type { Fault, Wound } from "./fault.js";
import { cutShort, endsWith, grown, launching, moment, wounded } from "./parts.js";

const everyWayOn = ["relaunch", "change", "destroy", "kill", "prune"] as const;

/** An update whose launcher is killed some time after a moment that shows in the record. */
async function handingOver(
  world: World,
  moment: (vmId: string) => Promise<unknown>,
  longestMs: number,
): Promise<Wound> {
  return await wounded(world, async ({ vmId, spec }) => {
    const next = grown(world, spec);
    const launcher = startLauncher({ does: "update", vmId, spec: next });
    await Promise.race([moment(vmId), launcher.outcome]);
    await killAfter(launcher, world.random.below(longestMs));
    return { spec: world.random.pick([spec, next]) };
  });
}

const isWritten = async (vmId: string, what: (record: VmRecord) => unknown): Promise<unknown> =>
  await eventually(async () => {
    const record = await readRecord(vmId);
    return record && what(record);
  });

/** A launcher that dies before it has written the record leaves a folder without one, which has no name to be ended by. */
async function pruned(wound: Wound): Promise<Wound> {
  if (wound.vmId === "none") await pruneVms({ all: true });
  return wound;
}

export const launcherFaults: Fault[] = [
  {
    name: "launcher killed during a launch",
    weight: 2,
    inflict: async (world) =>
      await pruned(await launching(world, {}, (launcher) => killAfter(launcher, moment(world, 2500)))),
    then: ["none", "creating", "running"],
    waysOn: ["again", "relaunch", "destroy", "kill", "prune"],
  },
  {
    name: "launcher killed while it fills the cache",
    inflict: async (world) => {
      const kernels = join(process.env["MICROVM_CACHE_DIR"]!, "kernels");
      await rm(kernels, { recursive: true, force: true });
      const wound = await launching(world, {}, (launcher) => killAfter(launcher, world.random.below(300)));
      // What somebody may still be writing is left alone for an hour, and cleared away by whoever extracts next.
      const former = new Date(Date.now() - 2 * 3_600_000);
      for (const path of await partialFiles()) await utimes(path, former, former);
      await rm(join(kernels, "known"), { recursive: true, force: true });
      return await pruned(wound);
    },
    then: ["none", "creating"],
    waysOn: ["again"],
  },
  {
    name: "launcher killed during an update",
    weight: 2,
    inflict: (world) =>
      cutShort(world, ({ vmId, spec }) => ({ does: "update", vmId, spec: grown(world, spec) }), 2500),
    then: ["running"],
    waysOn: everyWayOn,
  },
  {
    name: "launcher killed while the next VM boots beside",
    inflict: (world) => handingOver(world, (vmId) => isWritten(vmId, ({ next }) => next), 1000),
    then: ["running"],
    waysOn: everyWayOn,
  },
  {
    name: "launcher killed while the ports are handed over",
    weight: 2,
    inflict: (world) => handingOver(world, (vmId) => isWritten(vmId, ({ next }) => next?.bootMillis), 30),
    then: ["running"],
    waysOn: everyWayOn,
  },
  {
    name: "launcher killed while the former VM goes",
    inflict: (world) => handingOver(world, (vmId) => isWritten(vmId, ({ former }) => former), 300),
    then: ["running"],
    waysOn: everyWayOn,
  },
  {
    name: "launcher killed while a VM is stopped for the next one",
    inflict: (world) =>
      cutShort(
        world,
        ({ vmId, spec }) => ({
          does: "update",
          vmId,
          spec: { ...grown(world, spec), updateStrategy: "stopFirst" },
        }),
        2500,
      ),
    then: ["creating", "running", "unresponsive", "exited clean"],
    waysOn: ["relaunch", "change", "destroy", "kill"],
  },
  {
    name: "launcher killed while it changes ports",
    weight: 2,
    inflict: async (world) => {
      const ports = { apiPort: await freePort(), sshPort: await freePort() };
      return await cutShort(
        world,
        ({ vmId, spec }) => ({ does: "update", vmId, spec: { ...spec, ...ports } }),
        100,
      );
    },
    then: ["running"],
    waysOn: ["relaunch", "destroy"],
  },
  {
    name: "launcher killed while it changes ports, which are then to stay",
    inflict: async (world) => {
      const ports = { apiPort: await freePort(), sshPort: await freePort() };
      const changed = cutShort(
        world,
        ({ vmId, spec }) => ({ does: "update", vmId, spec: { ...spec, ...ports } }),
        60,
      );
      const { spec } = await world.vm();
      return { ...(await changed), spec };
    },
    then: ["running"],
    waysOn: ["relaunch"],
  },
  {
    name: "launcher killed during a power-off",
    inflict: (world) => cutShort(world, ({ vmId }) => ({ does: "shutdown", vmId }), 400),
    // Its monitor goes first.
    then: ["running", "unresponsive", "exited clean"],
    waysOn: ["relaunch", "destroy"],
  },
  {
    name: "launcher killed during a removal",
    weight: 2,
    inflict: (world) => cutShort(world, ({ vmId }) => ({ does: "destroy", vmId }), 400),
    then: ["running", "unresponsive", "exited clean", "none"],
    waysOn: ["destroy", "kill", "prune"],
  },
  {
    name: "launcher stopped at its work, then continued",
    inflict: (world) =>
      wounded(world, async ({ vmId, spec }) => {
        const next = grown(world, spec);
        const launcher = startLauncher({ does: "update", vmId, spec: next });
        await launcher.begun;
        await sleep(moment(world, 1500));
        launcher.signal("SIGSTOP");
        // Whoever comes meanwhile is told to wait, and may give up.
        const impatient = { signal: AbortSignal.timeout(200) };
        await endsWith(["Cancelled", "VmBusy", "success"], updateVm(vmId, spec, impatient));
        launcher.signal("SIGCONT");
        await launcher.outcome;
        return { spec: next };
      }),
    then: ["running"],
    waysOn: ["relaunch", "destroy", "nothing"],
  },
  {
    name: "VM killed while its launcher is stopped",
    weight: 0.3,
    inflict: (world) =>
      wounded(world, async ({ vmId, spec }) => {
        const launcher = startLauncher({ does: "update", vmId, spec: grown(world, spec) });
        await launcher.begun;
        await sleep(moment(world, 1500));
        launcher.signal("SIGSTOP");
        await endsWith(["VmBusy", "success"], destroyVm(vmId, { from: "sigkill" }));
        launcher.signal("SIGCONT");
        await launcher.outcome;
      }),
    then: ["none", "creating", "running", "exited killed"],
    waysOn: ["destroy", "relaunch"],
  },
  {
    name: "launcher short of file descriptors",
    inflict: (world) =>
      launching(world, {}, ({ outcome }) => outcome, { limits: `-n ${24 + world.random.below(20)}` }),
    then: ["none", "running"],
    waysOn: ["again", "destroy"],
  },
];
