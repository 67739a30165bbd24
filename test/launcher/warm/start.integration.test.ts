/** VMs that go on from a saved state: each is itself, and one that cannot goes the long way. */
import { createHash } from "node:crypto";
import { copyFile, open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  attach,
  createVm,
  destroyVm,
  launch,
  listStates,
  removeStates,
  statusOf,
  updateVm,
  type VmSpecInput,
} from "../../../src/launcher/index.js";
import { cacheDir } from "../../../src/paths.js";
import { readRecord } from "../../../src/launcher/record/record.js";
import { stampOf } from "../../../src/launcher/host/stamp.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../../tools/sample-rvf.js";
import { appliancePath, expectNeighbours, stuckRvf } from "../../support/rvf.js";
import { leftovers, privateState } from "../../support/state.js";
import { askWitness, writeWitnessInitramfs } from "../../support/witness-guest.js";

const state = privateState();
let rvfPath: string;
let spec: VmSpecInput;
beforeAll(async () => {
  rvfPath = join(state.dir, "db.rvf");
  await makeSampleRvf(rvfPath, { image: appliancePath(), count: 500 });
  spec = { rvfPath, apiPort: 0, enableKvm: false, warmStart: true };
});

/** A new VM, what was said of its launch, and whether it went on from a saved state. */
async function launched(changes: Partial<VmSpecInput> = {}, onTold = (_: string): void => {}) {
  const told: string[] = [];
  const onProgress = (text: string): void => {
    told.push(text);
    onTold(text);
  };
  const vm = await createVm({ ...spec, ...changes }, { onProgress });
  return { ...vm, warm: vm.warm === true, told: told.join("\n") };
}

const statesDir = () => join(cacheDir(), "warm");
const folders = async () => await readdir(statesDir()).catch((): string[] => []);

/** The newest saved state's files, and what makes a changed one pass for what was saved. */
async function newest() {
  const [{ key } = { key: "" }] = await listStates();
  const path = (name: string) => join(statesDir(), key, name);
  return {
    key,
    path,
    vouch: async () => {
      const description = JSON.parse(await readFile(path("description.json"), "utf8")) as object;
      const state = await readFile(path("state"));
      const vouched = {
        memoryStamp: await stampOf(path("memory")),
        stateStamp: await stampOf(path("state")),
        stateSha256: createHash("sha256").update(state).digest("hex"),
      };
      await writeFile(path("description.json"), JSON.stringify({ ...description, ...vouched }));
    },
  };
}

test("20 of one saved state have random numbers, boot ids and clocks of their own, all right", async () => {
  const initramfsPath = join(state.dir, "witness");
  await writeWitnessInitramfs(initramfsPath);
  const testify = async () => {
    const begin = performance.now();
    const vm = await launched({ initramfsPath, sshPort: 0 });
    const millis = performance.now() - begin;
    expect(vm.warm).toBe(true);
    const said = await askWitness(vm.boundSshPort!);
    const late = Date.now() - said.time;
    const { nonce } = (await readRecord(vm.vmId))!.generation!;
    await destroyVm(vm.vmId, { from: "sigkill" });
    return { ...said, late, millis, nonce };
  };
  // The first one saves; its clock stands still from then on for all the others.
  const first = await testify();
  const testimonies = [first, ...(await Promise.all(Array.from({ length: 19 }, testify)))];
  for (const what of ["random", "bootId", "nonce"] as const)
    expect(new Set(testimonies.map((one) => one[what])).size).toBe(20);
  // On its way into the guest the time grows old, but by no more than the launch takes. A tick of the clock is 4 ms.
  for (const { late, millis } of testimonies) {
    expect(late).toBeGreaterThan(-100);
    expect(late).toBeLessThan(millis + 500);
  }
  expect(await folders()).toHaveLength(1);
});

test("it is as any other: it answers as the store says, is found, updated beside itself, and powered down", async () => {
  const { vmId, pid, warm } = await launched();
  expect(warm).toBe(true);
  const vm = await attach(vmId);
  const vector = sampleQuery(1);
  // It has the memory open, so that to remove the saved state is no loss to it.
  const { key } = await newest();
  await removeStates([key.slice(0, 12)]);
  expect(await folders()).not.toContain(key);
  expectNeighbours(await vm.query(vector, 5), neighboursOnHost(rvfPath, vector, 5));
  expect(await vm.status()).toMatchObject({ state: "running", status: "running", pid });
  expect(await updateVm(vmId, spec)).toMatchObject({ pid });
  // With other memory it is another kind of VM.
  const next = await updateVm(vmId, { ...spec, memoryMb: 160 });
  expect(next.pid).not.toBe(pid);
  expect((await readRecord(vmId))!.generation!.warm).toBe(true);
  expect(await vm.query(vector, 5)).toHaveLength(5);
  expect(await vm.shutdown()).toMatchObject({ rung: "powerdown" });
  expect(await statusOf(vmId)).toMatchObject({ state: "exited", ending: "clean" });
  await vm.destroy();
  expect(await leftovers([vmId])).toEqual([]);
});

test("what is saved is this user's alone, and told", async () => {
  const states = await listStates();
  expect(states).toMatchObject([{ memoryMb: 160 }, { memoryMb: 128, rvfPath, useless: undefined }]);
  for (const { key, bytes } of states) {
    const dir = join(statesDir(), key);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    const files = await readdir(dir);
    expect(files.sort()).toEqual(["description.json", "memory", "state"]);
    for (const file of files) expect((await stat(join(dir, file))).mode & 0o777).toBe(0o600);
    // Less than all of the memory: what the guest never touched takes no room.
    expect(bytes).toBeLessThan(100e6);
  }
  expect((await stat(statesDir())).mode & 0o777).toBe(0o700);
});

async function overwrite(path: string, length: number): Promise<void> {
  await using file = await open(path, "r+");
  await file.write(Buffer.alloc(length), 0, length, 0);
}

test.each([
  // It is seen at once, so that there is time for a boot that is saved anew.
  ["that was written to", "state", false, /thrown away, it was changed/],
  ["that QEMU does not take", "state", true, /thrown away, QEMU exited with status 1/],
  ["whose guest dies of it", "memory", true, /thrown away, the guest was reset/],
] as const)("a saved state %s is thrown away, and the VM boots", async (_, damaged, vouched, words) => {
  await destroyVm((await launched()).vmId);
  const { key, path, vouch } = await newest();
  await overwrite(path(damaged), damaged === "memory" ? 128 * 1024 * 1024 : 4096);
  if (vouched) await vouch();
  await expectCold(key, { words, anew: !vouched });
});

test("one that does not go on in time is thrown away, and the VM boots", async () => {
  await destroyVm((await launched()).vmId);
  const { key } = await newest();
  let first = true;
  const words = /thrown away, .*did not answer within 5 s/;
  await expectCold(key, { words, anew: false, readyTimeoutSeconds: 20 }, (text) => {
    const [, pid] = /^QEMU runs as process (\d+)/.exec(text) ?? [];
    // Of the two the first is to go on.
    if (pid !== undefined && first) process.kill(Number(pid), "SIGSTOP");
    first &&= pid === undefined;
  });
});

test("a guest that does not get ready to be saved: its VM is kept where that is wanted, and nothing is saved", async () => {
  const before = await folders();
  const late = { ...spec, rvfPath: await stuckRvf(), readyTimeoutSeconds: 3 };
  const error: unknown = await createVm(late, { keepUnready: true }).catch((error: unknown) => error);
  expect(error).toMatchObject({ code: "Timeout", vmId: expect.any(String) as string });
  const { vmId } = error as { vmId: string };
  // It was to be saved, so nobody could have reached it.
  expect(await statusOf(vmId)).toMatchObject({ state: "creating", pid: 0 });
  expect(await folders()).toEqual(before);
  // The next update, of an RVF that is right, starts it anew.
  expect(await updateVm(vmId, spec)).toMatchObject({ vmId, state: "running" });
  expect((await readRecord(vmId))!.generation!.warm).toBe(true);
  await destroyVm(vmId);
  expect(await leftovers([vmId])).toEqual([]);
});

/** A VM that boots because the saved state is of no use. */
async function expectCold(
  key: string,
  { words, anew, ...changes }: { words: RegExp; anew: boolean; readyTimeoutSeconds?: number },
  onTold?: (text: string) => void,
): Promise<void> {
  const { vmId, told, warm } = await launched(changes, onTold);
  expect(told).toMatch(/^warning: the VM boots cold: the saved state is/m);
  expect(told).toMatch(words);
  // One that only turned out to be of no use when it was tried is not replaced at once.
  expect(warm).toBe(anew);
  expect((await folders()).includes(key)).toBe(anew);
  expect(await (await attach(vmId)).query(sampleQuery(1), 3)).toHaveLength(3);
  await destroyVm(vmId);
}

test("an RVF that changed meets no state of what it was", async () => {
  const changing = join(state.dir, "changing.rvf");
  await copyFile(rvfPath, changing);
  await destroyVm((await launched({ rvfPath: changing })).vmId);
  const before = await folders();
  await makeSampleRvf(join(state.dir, "other.rvf"), { image: appliancePath(), count: 300 });
  // In its place, with the same name and inode.
  await copyFile(join(state.dir, "other.rvf"), changing);
  await using vm = await launch({ ...spec, rvfPath: changing });
  const vector = sampleQuery(2);
  expectNeighbours(await vm.query(vector, 400), neighboursOnHost(changing, vector, 400));
  expect(await folders()).toHaveLength(before.length + 1);
  expect((await listStates()).map(({ useless }) => useless)).toContain(`${changing} was changed`);
});
