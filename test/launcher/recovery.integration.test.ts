/** VMs whose host, process or record is not what it was when they were launched. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { attach, createVm, destroyVm, statusOf, updateVm, type VmStatus } from "../../src/launcher/index.js";
import { readRecord, type VmRecord } from "../../src/launcher/record/record.js";
import { writeRecord } from "../../src/launcher/record/write.js";
import { vmDir } from "../../src/launcher/record/vm-folder.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { parentOf } from "../support/parent.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually, isAlive } from "../support/wait.js";

privateState();
let vm: VmStatus;
const spec = async () => ({ rvfPath: await sampleRvf(), apiPort: 0 });

beforeAll(async () => {
  vm = await createVm(await spec());
});

/** As the file says it, for what the type forbids. */
async function editRecord(edit: (record: VmRecord) => object): Promise<void> {
  const text = JSON.stringify(edit((await readRecord(vm.vmId))!));
  await writeFile(join(vmDir(vm.vmId), "record.json"), text);
}

test("a record of the first format: the VM is found, asked, left alone and powered down", async () => {
  await editRecord(({ generation, ...record }) => {
    const { controlSocket: _, hostBootId: __, startTicks: ___, guestApiPort: ____, ...old } = generation!;
    return { ...record, format: 1, generation: old };
  });
  expect(await statusOf(vm.vmId)).toEqual(vm);
  expect(await (await attach(vm.vmId)).query(sampleQuery(1), 3)).toHaveLength(3);
  expect(await updateVm(vm.vmId, await spec())).toEqual(vm);
  expect(await (await attach(vm.vmId)).shutdown()).toMatchObject({ rung: "powerdown" });
  vm = await updateVm(vm.vmId, await spec());
  expect(vm.state).toBe("running");
});

test("a VM whose process was stopped says so, and goes on", async () => {
  process.kill(vm.pid, "SIGSTOP");
  const stopped = async () => (await statusOf(vm.vmId))?.state === "paused";
  await eventually(stopped);
  expect(await statusOf(vm.vmId)).toMatchObject({
    status: `its process is stopped; \`kill -CONT ${vm.pid}\` lets it go on`,
  });
  process.kill(vm.pid, "SIGCONT");
  await eventually(async () => (await statusOf(vm.vmId))?.state === "running");
});

test("a VM that went with its host is told from one that ended, and relaunched", async () => {
  // Of the shell that would write its exit status nothing is left either.
  process.kill(parentOf(vm.pid), "SIGKILL");
  process.kill(vm.pid, "SIGKILL");
  await eventually(() => !isAlive(vm.pid));
  expect(await statusOf(vm.vmId)).toMatchObject({ state: "exited", ending: "unknown", pid: 0 });

  const record = (await readRecord(vm.vmId))!;
  const formerBoot = "00000000-1111-2222-3333-444444444444";
  // On the host's next boot another process may well have the number.
  const generation = { ...record.generation!, hostBootId: formerBoot, pid: process.pid };
  await writeRecord({ ...record, generation });
  expect(await statusOf(vm.vmId)).toMatchObject({
    state: "exited",
    ending: "hostReboot",
    status: "exited: the host was booted anew while it ran",
    pid: 0,
  });
  const next = await updateVm(vm.vmId, await spec());
  expect(next).toMatchObject({ vmId: vm.vmId, state: "running", boundApiPort: vm.boundApiPort });
  vm = next;
});

test("after destroy nothing is left", async () => {
  await destroyVm(vm.vmId);
  expect(await leftovers([vm.vmId])).toEqual([]);
});
