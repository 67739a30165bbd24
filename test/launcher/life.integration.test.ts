/** One VM from its launch to its end, seen from this process and from another. */
import { rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import {
  attach,
  findRecord,
  launch,
  type MicroVmError,
  type MicroVmHandle,
} from "../../src/launcher/index.js";
import { vmDir } from "../../src/launcher/record/vm-folder.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

privateState();
let rvfPath: string;
let vm: MicroVmHandle;
const progress: string[] = [];

beforeAll(async () => {
  rvfPath = await sampleRvf();
  vm = await launch({ rvfPath, apiPort: 0 }, { name: "life", onProgress: (text) => progress.push(text) });
});

test("its progress is told", () => {
  expect(progress).toContainEqual(expect.stringMatching(/^starting QEMU \d+\.\d+\S* \((kvm|tcg)\)$/));
  expect(progress.slice(-2)).toEqual([
    `QEMU runs as process ${vm.pid}, waiting for the guest to answer on port ${vm.apiPort}`,
    expect.stringMatching(/^booted in \d+\.\d s under (kvm|tcg)$/),
  ]);
});

test("it finds the neighbours that the host finds", async () => {
  const vector = sampleQuery(1);
  expectNeighbours(await vm.query(vector, 10), neighboursOnHost(rvfPath, vector, 10));
});

test("its status tells what it is", async () => {
  const status = await vm.status();
  expect(status).toMatchObject({
    vmId: vm.vmId,
    name: "life",
    owner: null,
    state: "running",
    status: "running",
    pid: vm.pid,
    url: `http://127.0.0.1:${vm.apiPort}`,
    boundApiPort: vm.apiPort,
    qmpSocket: vm.qmpSocket,
    kernelSha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    spec: { rvfPath, apiPort: 0, memoryMb: 128 },
  });
  expect(vm.vmId).toMatch(/^life-[0-9a-f]{8}$/);
  expect(status.bootMillis).toBeGreaterThan(0);
  expect(Date.now() - Date.parse(status.startedAt)).toBeGreaterThanOrEqual(status.bootMillis);
  expect((await stat(status.consoleLog)).size).toBeGreaterThan(0);
});

test("where KVM does not run guests it is left for TCG, with the reason", async () => {
  const { accelerator, acceleratorReason } = await vm.status();
  expect(["kvm", "tcg"]).toContain(accelerator);
  expect(acceleratorReason).toMatch(/kvm/i);
});

test("another process attaches to it by name and asks", async () => {
  const launcher = new URL("../../src/launcher/index.ts", import.meta.url);
  const script = `
    const { attach } = await import(${JSON.stringify(launcher.href)});
    const vm = await attach("life");
    await vm.waitReady();
    console.log(JSON.stringify({ pid: vm.pid, found: await vm.query(${JSON.stringify(sampleQuery(4))}, 5) }));`;
  const { stdout } = await execa(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
  });
  expect(JSON.parse(stdout)).toEqual({ pid: vm.pid, found: await vm.query(sampleQuery(4), 5) });
});

test("what the guest refuses is told in its words", async () =>
  expect(vm.query([1, 2, 3], 1)).rejects.toMatchObject({ code: "GuestHttp" }));

test("its power button turns it off, also where its folder takes no lock, and how it ended stays known", async () => {
  const untilItEnds = async () => {
    for (;;) await vm.query(sampleQuery(1), 1);
  };
  const asked = Promise.allSettled([1, 2, 3, 4].map(untilItEnds));
  const noLock = join(vmDir(vm.vmId), "lock.999");
  await writeFile(noLock, "");
  expect(await vm.shutdown()).toMatchObject({ rung: "powerdown" });
  await asked;
  await rm(noLock);
  expect(await vm.shutdown()).toMatchObject({ rung: "gone" });
  expect(await vm.status()).toMatchObject({
    state: "exited",
    status: "exited: the guest powered off",
    exitCode: 0,
    pid: 0,
  });
});

test("a VM that is off answers no call", async () => {
  const off = { code: "VmNotRunning", message: `${vm.vmId} is not running: exited: the guest powered off` };
  await expect(vm.query(sampleQuery(1), 1)).rejects.toMatchObject(off);
  await expect(vm.waitReady()).rejects.toMatchObject(off);
  await expect(attach("life")).rejects.toMatchObject(off);
});

test("after destroy nothing is left", async () => {
  expect(await vm.destroy()).toMatchObject({ rung: "gone" });
  expect(await vm.destroy()).toMatchObject({ rung: "gone" });
  expect(await vm.shutdown()).toMatchObject({ rung: "gone" });
  const asked = (await vm.query(sampleQuery(1), 1).catch((error: unknown) => error)) as MicroVmError;
  expect(asked).toMatchObject({
    code: "VmNotRunning",
    message: `${vm.vmId} is not running: exited: its files were removed`,
  });
  // It names no console, which is gone.
  expect(asked.hint).toBeUndefined();
  expect(await vm.status()).toMatchObject({
    state: "exited",
    status: "exited: its files were removed",
    pid: 0,
  });
  await expect(findRecord(vm.vmId)).rejects.toMatchObject({ code: "VmNotFound" });
  expect(await leftovers([vm.vmId])).toEqual([]);
});
