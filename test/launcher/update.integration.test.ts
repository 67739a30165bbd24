/** What an update boots anew, and what it leaves alone. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  createVm,
  destroyVm,
  statusOf,
  updateVm,
  type VmSpec,
  type VmStatus,
} from "../../src/launcher/index.js";
import { readRecord } from "../../src/launcher/record/record.js";
import { writeRecord } from "../../src/launcher/record/write.js";
import { removedPrefix, vmDir } from "../../src/launcher/record/vm-folder.js";
import { vmsDir } from "../../src/paths.js";
import { query } from "../../src/client/index.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { appliancePath, expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually, isAlive } from "../support/wait.js";

const state = privateState();
const vector = sampleQuery(1);
let rvfPath: string;
let vm: VmStatus;
/** The spec as a Pulumi program would repeat it. */
const spec = (changes = {}) => ({ rvfPath, apiPort: 0, ...changes });

beforeAll(async () => {
  rvfPath = join(state.dir, "db.rvf");
  await copyFile(await sampleRvf(), rvfPath);
  vm = await createVm(spec());
});

test("the same spec and file leave the VM running", async () => {
  const progress: string[] = [];
  const same = await updateVm(vm.vmId, spec(), { onProgress: (text) => progress.push(text) });
  expect(same).toEqual(vm);
  expect(progress).toEqual([]);
});

test("what a launcher left that died while it changed ports goes with the next update", async () => {
  const halfWritten = join(vmDir(vm.vmId), "record.json.1234");
  await writeFile(halfWritten, "{");
  expect(await updateVm(vm.vmId, spec())).toEqual(vm);
  expect(existsSync(halfWritten)).toBe(false);
});

test("a record from before inputs existed is the same spec with their defaults", async () => {
  const record = (await readRecord(vm.vmId))!;
  const { verification: _, trustedKeys: __, ...older } = record.spec;
  await writeRecord({ ...record, spec: older as VmSpec });
  expect(await updateVm(vm.vmId, spec())).toEqual(vm);
});

test("an update that cannot be leaves the VM running as it was", async () => {
  await expect(updateVm(vm.vmId, spec({ kernelPath: join(state.dir, "none") }))).rejects.toMatchObject({
    code: "FileNotFound",
    property: "kernelPath",
  });
  await expect(updateVm(vm.vmId, spec({ memoryMb: 1 }))).rejects.toMatchObject({ property: "memoryMb" });
  expect(await statusOf(vm.vmId)).toEqual(vm);
});

test("other memory boots the next generation of the same VM on the same port", async () => {
  const next = await updateVm(vm.vmId, spec({ memoryMb: 160 }));
  expect(next).toMatchObject({
    vmId: vm.vmId,
    state: "running",
    boundApiPort: vm.boundApiPort,
    spec: { memoryMb: 160 },
  });
  expect(next.consoleLog).not.toBe(vm.consoleLog);
  expect(next.pid).not.toBe(vm.pid);
  await eventually(() => !isAlive(vm.pid));
  expectNeighbours(await query(next.url, vector, 5), neighboursOnHost(rvfPath, vector, 5));
  vm = next;
});

test("other vectors in the file boot anew, and are what is then found", async () => {
  await makeSampleRvf(rvfPath, { image: appliancePath(), count: 100 });
  const next = await updateVm(vm.vmId, spec({ memoryMb: 160 }));
  expect(next.pid).not.toBe(vm.pid);
  expect(next.boundApiPort).toBe(vm.boundApiPort);
  expectNeighbours(await query(next.url, vector, 5), neighboursOnHost(rvfPath, vector, 5));
  vm = next;
});

test("a VM that went down by itself is booted anew by the same spec, and one whose record is gone under its id", async () => {
  process.kill(vm.pid, "SIGKILL");
  const next = await updateVm(vm.vmId, spec({ memoryMb: 160 }));
  expect(next).toMatchObject({ vmId: vm.vmId, state: "running", boundApiPort: vm.boundApiPort });
  await destroyVm(vm.vmId, { from: "sigkill" });
  // As a removal leaves it that was killed half-way.
  const doomed = join(vmsDir(), `${removedPrefix}${vm.vmId}-12345678`);
  await mkdir(doomed);
  const again = await updateVm(vm.vmId, spec(), { name: "db" });
  expect(again).toMatchObject({ vmId: vm.vmId, name: "db", state: "running" });
  expect(existsSync(doomed)).toBe(false);
});

test("after destroy none of the generations is left", async () => {
  await destroyVm(vm.vmId);
  expect(await leftovers([vm.vmId])).toEqual([]);
});
