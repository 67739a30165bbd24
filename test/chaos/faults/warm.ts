/** What can happen to a launch that saves a VM and has another go on from it. */
import { strict as assert } from "node:assert";
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { listRecords, updateVm } from "../../../src/launcher/index.js";
import { eventually } from "../../support/wait.js";
import { killAfter } from "../launcher.js";
import type { Fault, Wound } from "./fault.js";
import { launching } from "./parts.js";

const savedStates = (): string => join(process.env["MICROVM_CACHE_DIR"]!, "warm");

async function isBeingSaved(): Promise<boolean> {
  const names = await readdir(savedStates(), { recursive: true }).catch(() => []);
  return names.some((name) => basename(name) === "state");
}

/** The VM has gone on from a saved state; the faults after it have no part in that. */
async function coldAgain({ owner, spec }: Wound): Promise<void> {
  const records = (await listRecords()).filter((record) => record.owner?.resource === owner?.resource);
  assert.ok(records.length > 0 && records.every(({ generation }) => generation?.warm));
  for (const { vmId } of records) await updateVm(vmId, { ...spec, warmStart: false }, { owner });
  await rm(savedStates(), { recursive: true });
}

export const warmFaults: Fault[] = [
  {
    name: "launcher killed between the saving of a VM and its going on",
    weight: 0.3,
    inflict: async (world) => {
      const wound = await launching(world, { warmStart: true }, async (launcher) => {
        await Promise.race([eventually(isBeingSaved, 300), launcher.outcome]);
        return await killAfter(launcher, world.random.below(400));
      });
      return { ...wound, heal: () => coldAgain(wound), healAfter: true };
    },
    then: ["creating", "running"],
    // What is half saved goes with the next that is saved.
    waysOn: ["again", "relaunch"],
  },
];
