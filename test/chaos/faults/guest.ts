/** What a guest can do to its host, and to itself. */
import { strict as assert } from "node:assert";
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createVm, statusOf, type VmStatus } from "../../../src/launcher/index.js";
import { consoleFileBytes } from "../../../src/launcher/start/keeper.js";
import { tell, toldGuest, writeToldInitramfs } from "../../support/told-guest.js";
import { eventually } from "../../support/wait.js";
import { anySpec, type World } from "../world.js";
import type { Fault, Wound } from "./fault.js";
import { launching, qemuRuns } from "./parts.js";

/** A VM of its own whose guest serves, and then does what the letter says (told-guest.ts). */
async function told(world: World, letter: string, after: (vm: VmStatus) => Promise<void>): Promise<Wound> {
  const number = world.random.below(1_000_000);
  const [initramfs, socket] = [join(world.dir, "told.cpio"), join(world.dir, `told-${number}.sock`)];
  await writeToldInitramfs(initramfs);
  const spec = { ...anySpec(world), ...toldGuest(initramfs, socket) };
  const vm = await createVm(spec);
  await tell(socket, letter);
  await after(vm);
  return { vmId: vm.vmId, spec };
}

const isOver = async ({ vmId }: VmStatus): Promise<void> =>
  void (await eventually(async () => (await statusOf(vmId))?.state === "exited"));

export const guestFaults: Fault[] = [
  {
    name: "guest floods its console",
    inflict: (world) =>
      told(world, "f", async ({ consoleLog }) => {
        await sleep(world.random.below(2000));
        for (const name of await readdir(dirname(consoleLog))) {
          const { size } = await stat(join(dirname(consoleLog), name));
          assert.ok(size < 4 * consoleFileBytes, `${name} has ${size} bytes`);
        }
      }),
    then: ["running"],
    waysOn: ["nothing", "relaunch", "destroy", "kill"],
  },
  {
    name: "guest panics",
    inflict: (world) => told(world, "c", isOver),
    then: ["exited panic"],
    waysOn: ["relaunch", "destroy", "prune"],
  },
  {
    name: "guest powers itself off",
    inflict: (world) => told(world, "o", isOver),
    then: ["exited clean"],
    waysOn: ["relaunch", "destroy", "prune"],
  },
  {
    name: "guest hears no power button, its launcher killed",
    inflict: (world) =>
      launching(world, { rvfPath: world.stuckPath, shutdownTimeoutSeconds: 1 }, async (launcher) => {
        await qemuRuns(launcher);
        launcher.signal("SIGKILL");
        return await launcher.outcome;
      }),
    then: ["creating"],
    waysOn: ["destroy", "kill", "prune"],
  },
];
