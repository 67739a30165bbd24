/** Many at once. */
import { strict as assert } from "node:assert";
import { createVm, destroyVm, type VmStatus } from "../../../src/launcher/index.js";
import { startLauncher, type Outcome } from "../launcher.js";
import { anySpec } from "../world.js";
import type { Fault } from "./fault.js";
import { grown, wounded } from "./parts.js";

const isDone = (outcome: Outcome): outcome is { done: VmStatus } => "done" in outcome;

export const manyFaults: Fault[] = [
  {
    name: "16 launches at once",
    weight: 0.1,
    inflict: async (world) => {
      // By this process and by others.
      const others = Array.from({ length: 4 }, () => startLauncher({ does: "create", spec: anySpec(world) }));
      const launches = Array.from({ length: 12 }, () => createVm(anySpec(world)));
      const outcomes = await Promise.all(others.map(({ outcome }) => outcome));
      assert.ok(outcomes.every(isDone), JSON.stringify(outcomes));
      const vms = [...(await Promise.all(launches)), ...outcomes.map(({ done }) => done)];
      assert.equal(new Set(vms.map(({ boundApiPort }) => boundApiPort)).size, 16);
      const [first, ...rest] = vms;
      for (const { vmId } of rest)
        await destroyVm(vmId, { from: world.random.pick(["powerdown", "sigkill"]) });
      return { vmId: first!.vmId, spec: first!.spec };
    },
    then: ["running"],
    waysOn: ["destroy", "nothing"],
  },
  {
    name: "one VM launched by several at once",
    weight: 0.3,
    inflict: (world) =>
      wounded(world, async ({ vmId, spec }) => {
        await destroyVm(vmId);
        const launchers = Array.from({ length: 4 }, () => startLauncher({ does: "update", vmId, spec }));
        const outcomes = await Promise.all(launchers.map(({ outcome }) => outcome));
        const pids = new Set(outcomes.filter(isDone).map(({ done }) => done.pid));
        assert.equal(pids.size, 1, JSON.stringify(outcomes));
      }),
    then: ["running"],
    waysOn: ["nothing", "destroy", "change"],
  },
  {
    name: "changed and removed at once",
    inflict: (world) =>
      wounded(world, async ({ vmId, spec }) => {
        const orders = [
          startLauncher({ does: "update", vmId, spec: grown(world, spec) }),
          startLauncher({ does: "destroy", vmId }),
          startLauncher({ does: "update", vmId, spec: grown(world, spec) }),
        ];
        await Promise.all(orders.map(({ outcome }) => outcome));
      }),
    then: ["none", "running"],
    waysOn: ["destroy", "relaunch"],
  },
];
