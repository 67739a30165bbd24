/** What several faults are made of. */
import { strict as assert } from "node:assert";
import { listRecords, type VmSpecInput, type VmStatus } from "../../../src/launcher/index.js";
import { vmDir } from "../../../src/launcher/record/vm-folder.js";
import { eventually } from "../../support/wait.js";
import { killAfter, startLauncher, type Launching, type Order, type Outcome } from "../launcher.js";
import { processesIn, qemusOf, type Found } from "../processes.js";
import { anySpec, type World } from "../world.js";
import type { Wound } from "./fault.js";

/** The VM that runs, hurt. */
export async function wounded(
  world: World,
  hurt: (vm: VmStatus) => Promise<Partial<Wound> | void> | void,
): Promise<Wound> {
  const vm = await world.vm();
  const { vmId, spec } = vm;
  return { vmId, spec, ...(await hurt(vm)) };
}

/** The spec with another memory size, which takes a reboot. */
export const grown = ({ random }: World, spec: VmSpecInput): VmSpecInput => ({
  ...spec,
  memoryMb: 129 + random.below(30),
});

/** A time within the work, short ones more often: most of it happens early. */
export const moment = ({ random }: World, longestMs: number): number =>
  random.below(random.pick([20, 200, longestMs]) + 1);

/** Until a launch has started QEMU: it may have to wait for its turn on this host, among whatever else is launched. */
export const qemuRuns = async ({ progress }: Launching): Promise<boolean> =>
  await eventually(() => progress.some((line) => line.startsWith("QEMU runs")), 300);

/** A launch of its own, by a process of its own; `disturb` gets that. */
export async function launching(
  world: World,
  changes: Partial<VmSpecInput>,
  disturb: (launcher: Launching) => Promise<Outcome>,
  options: Partial<Order> & { limits?: string } = {},
): Promise<Wound> {
  const owner = { project: "chaos", stack: "test", resource: `vm-${world.random.below(1_000_000)}` };
  const { limits, ...order } = options;
  const spec = { ...anySpec(world), ...changes };
  const launcher = startLauncher({ does: "create", spec, owner, ...order }, { ...(limits && { limits }) });
  await disturb(launcher);
  const record = (await listRecords()).find((one) => one.owner?.resource === owner.resource);
  return { vmId: record?.vmId ?? "none", spec, owner };
}

/** An order about the VM that runs, whose process is killed in the midst of it. */
export async function cutShort(
  world: World,
  order: (vm: VmStatus) => Order,
  longestMs: number,
): Promise<Wound> {
  return await wounded(world, async (vm) => {
    const given = order(vm);
    await killAfter(startLauncher(given), moment(world, longestMs));
    return { spec: given.spec ?? vm.spec };
  });
}

/** The QEMUs of this VM, or of any. */
export async function qemus(world: World, vmId?: string): Promise<Found[]> {
  const all = await processesIn(world.dir);
  const ids = vmId === undefined ? (await listRecords()).map((record) => record.vmId) : [vmId];
  return ids.flatMap((id) => qemusOf(all, vmDir(id)));
}

/** Ends processes, and returns once they are gone. */
export async function killNow(world: World, ...pids: number[]): Promise<void> {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It was quicker.
    }
  }
  await eventually(async () => !(await processesIn(world.dir)).some(({ pid }) => pids.includes(pid)));
}

/** It must come out with one of these codes, or as `success`. */
export async function endsWith(codes: readonly string[], work: Promise<unknown>): Promise<void> {
  const code = await work.then(
    () => "success",
    (error: Error & { code?: string }) => error.code ?? error.message,
  );
  assert.ok(codes.includes(code), `${code} where ${codes.join(" or ")} was due`);
}
