/** The phase between the guest's ready line and its first HTTP answer, which is held open by taking the port away. */
import { readFile } from "node:fs/promises";
import { GUEST_ADDRESS, READY_LINE } from "../../../src/appliance/contract.js";
import { listRecords } from "../../../src/launcher/index.js";
import { NETDEV } from "../../../src/launcher/plan/plan.js";
import { readRecord } from "../../../src/launcher/record/record.js";
import { generationFiles } from "../../../src/launcher/record/vm-folder.js";
import { addHostForward, connectQmp, removeHostForward } from "../../../src/qmp/index.js";
import { eventually } from "../../support/wait.js";
import type { Launching } from "../launcher.js";
import type { World } from "../world.js";
import type { Fault, Wound } from "./fault.js";
import { killNow, launching, qemuRuns } from "./parts.js";

/** A launch whose guest is ready and does not answer; `hurt` gets QEMU's pid, unless the launch was quicker than we. */
async function unanswered(
  world: World,
  hurt: (pid: number, launcher: Launching) => Promise<void> | void,
): Promise<Wound> {
  return await launching(world, {}, async (launcher) => {
    await Promise.race([qemuRuns(launcher), launcher.outcome]);
    const record = (await listRecords()).find(({ phase }) => phase === "creating");
    if (record?.generation?.pid === undefined) return await launcher.outcome;
    const { vmId, generation, spec } = record;
    const { number, nonce, pid, boundApiPort: hostPort = 0, guestApiPort: guestPort = 0 } = generation;
    const forward = { netdev: NETDEV, hostAddress: spec.bindAddress, hostPort };
    await using monitor = await connectQmp(generation.qmpSocket);
    await removeHostForward(monitor, forward);
    if ((await readRecord(vmId))?.phase !== "creating") {
      await addHostForward(monitor, { ...forward, guestAddress: GUEST_ADDRESS, guestPort });
      return await launcher.outcome;
    }
    const { ready } = generationFiles(vmId, number);
    await eventually(async () => (await readFile(ready, "utf8")).includes(`${READY_LINE} ${nonce}\n`));
    await hurt(pid!, launcher);
    return await launcher.outcome;
  });
}

export const unansweredFaults: Fault[] = [
  {
    name: "QEMU killed after the ready line, before an answer",
    inflict: (world) => unanswered(world, (pid) => killNow(world, pid)),
    then: ["none", "running"],
    waysOn: ["again", "relaunch", "destroy"],
  },
  {
    name: "launcher killed after the ready line, before an answer",
    inflict: (world) => unanswered(world, (_, launcher) => launcher.signal("SIGKILL")),
    then: ["creating", "running"],
    waysOn: ["again", "relaunch", "destroy", "kill", "prune"],
  },
];
