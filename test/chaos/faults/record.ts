/** What can happen to a record by hand. */
import { strict as assert } from "node:assert";
import { cp, readdir, rm, truncate, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { destroyVm, pruneVms, updateVm } from "../../../src/launcher/index.js";
import { vmDir } from "../../../src/launcher/record/vm-folder.js";
import type { World } from "../world.js";
import type { Fault, Wound } from "./fault.js";
import { endsWith, wounded } from "./parts.js";

const pathOf = (vmId: string): string => join(vmDir(vmId), "record.json");

const damaged = (name: string, damage: (path: string, world: World) => Promise<void>): Fault => ({
  name: `record ${name}`,
  inflict: (world) =>
    wounded(world, async ({ vmId, spec }) => {
      await damage(pathOf(vmId), world);
      // It may be a newer version's, and is not to be written over unasked.
      await endsWith(["Io"], updateVm(vmId, spec));
    }),
  then: ["unreadable"],
  waysOn: ["destroy", "kill", "prune"],
});

export const recordFaults: Fault[] = [
  damaged("cut short", async (path, { random }) => {
    await truncate(path, random.below((await readFile(path)).length - 2));
  }),
  damaged("overwritten with zeros", async (path) => {
    await writeFile(path, Buffer.alloc((await readFile(path)).length));
  }),
  damaged("edited to nonsense", async (path, { random }) => {
    const record = JSON.parse(await readFile(path, "utf8")) as { generation: Record<string, unknown> };
    const key = random.pick(Object.keys(record.generation));
    await writeFile(path, JSON.stringify({ ...record, generation: { ...record.generation, [key]: [] } }));
  }),
  {
    name: "record deleted",
    inflict: (world) => wounded(world, async ({ vmId }) => await rm(pathOf(vmId))),
    then: ["none"],
    waysOn: ["relaunch", "destroy", "kill", "prune"],
  },
  {
    name: "all of a VM's files deleted",
    inflict: (world) =>
      wounded(
        world,
        async ({ vmId }) => await rm(vmDir(vmId), { recursive: true, maxRetries: 10, retryDelay: 20 }),
      ),
    then: ["none"],
    waysOn: ["relaunch", "destroy", "kill", "prune"],
  },
  {
    name: "a VM's files copied, and the copy destroyed, killed or pruned",
    inflict: (world) =>
      wounded(world, async ({ vmId }): Promise<Partial<Wound>> => {
        const copy = `${vmId}-copy`;
        await cp(vmDir(vmId), vmDir(copy), {
          recursive: true,
          filter: (path) => !/\.(sock|pipe)$/.test(path),
        });
        await world.random.pick([
          () => destroyVm(copy),
          () => destroyVm(copy, { from: "sigkill" }),
          () => pruneVms(),
        ])();
        await assert.rejects(readdir(vmDir(copy)), { code: "ENOENT" });
        return {};
      }),
    then: ["running"],
    waysOn: ["nothing", "relaunch"],
  },
];
