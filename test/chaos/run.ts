/** Inflicts faults on a world, one after the other, and looks after each what became of it. */
import { strict as assert } from "node:assert";
import {
  createVm,
  destroyVm,
  listRecords,
  pruneVms,
  statusOf,
  updateVm,
  type VmStatus,
} from "../../src/launcher/index.js";
import { leaks, untruths, wordsOf } from "./audit.js";
import { guestFaults } from "./faults/guest.js";
import { hostFaults } from "./faults/host.js";
import type { Fault, Way, Wound } from "./faults/fault.js";
import { launcherFaults } from "./faults/launcher.js";
import { manyFaults } from "./faults/many.js";
import { grown } from "./faults/parts.js";
import { qemuFaults } from "./faults/qemu.js";
import { recordFaults } from "./faults/record.js";
import { unansweredFaults } from "./faults/unanswered.js";
import { warmFaults } from "./faults/warm.js";
import { randomFrom, type Random } from "./random.js";
import { handOut, type WorkersOptions } from "./workers.js";
import type { World } from "./world.js";

/** The table. */
export const faults: readonly Fault[] = [
  ...qemuFaults,
  ...guestFaults,
  ...launcherFaults,
  ...hostFaults,
  ...recordFaults,
  ...manyFaults,
  ...unansweredFaults,
  ...warmFaults,
];

export interface ChaosOrder {
  fault: string;
  seed: number;
}

export interface Report {
  fault: string;
  /** By which chance chose. */
  seed: number;
  way: Way | undefined;
  /** What was not as it must be: untrue statuses, ways on that led nowhere, things left behind. */
  problems: string[];
  millis: number;
}

/** Inflicts them all, in several worlds at once. */
export const runFaults = (orders: ChaosOrder[], options: WorkersOptions<Report>): Promise<Report[]> =>
  handOut(
    new URL("worker.ts", import.meta.url),
    orders.map((order) => [order]),
    options,
  );

/** One of them with this text in its name, the heavier the more often. */
export function anyFault(random: Random, only = ""): Fault {
  const chosen = faults.filter(({ name }) => name.includes(only));
  const total = chosen.reduce((sum, { weight = 1 }) => sum + weight, 0);
  let left = (random.below(1_000_000) / 1_000_000) * total;
  return chosen.find(({ weight = 1 }) => (left -= weight) < 0)!;
}

/** After a problem the world is emptied, so that the next fault is not blamed for it. */
export async function inflict(world: World, fault: Fault, seed: number): Promise<Report> {
  const start = performance.now();
  world.random = randomFrom(seed);
  const problems: string[] = [];
  let way: Way | undefined;
  try {
    const { heal = async () => {}, ...wound } = await fault.inflict(world);
    let vm: VmStatus | undefined;
    try {
      problems.push(...(await afterwards(world, fault, wound)));
      if (!wound.healAfter) await heal();
      way = world.random.pick(fault.waysOn);
      vm = await ways[way](world, wound);
    } finally {
      if (wound.healAfter) await heal();
    }
    await settle(world, vm);
  } catch (error) {
    problems.push(String(error));
  }
  problems.push(...(await leaks(world)));
  if (problems.length > 0) await world.clear();
  return { fault: fault.name, seed, way, problems, millis: performance.now() - start };
}

/** Whether the status is true, and one that the fault's row expects. */
async function afterwards(world: World, fault: Fault, { vmId }: Wound): Promise<string[]> {
  if (vmId === "none") return fault.then.includes("none") ? [] : ["nothing is recorded"];
  const { status, detail } = await statusOf(vmId).then(
    (vm) => ({ status: wordsOf(vm), detail: vm?.status }),
    (error: unknown) => ({ status: "unreadable", detail: String(error) }),
  );
  const due = fault.then.join(", ");
  const expected = fault.then.includes(status) ? [] : [`status ${status} (${detail}); due: ${due}`];
  return status === "unreadable" ? expected : [...expected, ...(await untruths(world, vmId))];
}

/** Each returns the VM's status where it is to run afterwards. */
const ways: Record<Way, (world: World, wound: Wound) => Promise<VmStatus | undefined>> = {
  nothing: async (_, { vmId }) => (vmId === "none" ? undefined : await statusOf(vmId)),
  relaunch: async (_, { vmId, spec, owner }) =>
    vmId === "none" ? undefined : await updateVm(vmId, spec, { owner }),
  change: async (world, { vmId, spec }) => await updateVm(vmId, grown(world, spec)),
  destroy: async (_, { vmId }) => await ended(vmId, "powerdown"),
  kill: async (_, { vmId }) => await ended(vmId, "sigkill"),
  again: async (_, { spec, owner }) => await createVm(spec, { owner }),
  prune: async (world) => {
    const { kept } = await pruneVms({ all: true });
    // What runs is left to be ended by name, as it says.
    for (const { vmId = "" } of kept) await ended(vmId, world.random.pick(["powerdown", "sigkill"]));
    return undefined;
  },
};

async function ended(vmId: string, from: "powerdown" | "sigkill"): Promise<undefined> {
  if (vmId === "none") return;
  await destroyVm(vmId, { from });
  assert.equal(await statusOf(vmId), undefined);
}

/** The VM runs for the next fault, and no other. */
async function settle(world: World, vm: VmStatus | undefined): Promise<void> {
  const problems = vm ? await untruths(world, vm.vmId) : [];
  assert.deepEqual(problems, []);
  if (vm) assert.equal(vm.state, "running");
  for (const { vmId } of await listRecords()) {
    if (vmId !== vm?.vmId && vmId !== world.patient) await destroyVm(vmId);
  }
  if (vm && vm.vmId !== world.patient) {
    if (world.patient) await destroyVm(world.patient);
    world.patient = vm.vmId;
  }
  if (world.patient && !(await statusOf(world.patient))) world.patient = undefined;
}
