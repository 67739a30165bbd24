/** A VM's life by the calls of the engine: create, diff, read, update, delete in the real plugin process. */
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { query } from "../../src/client/index.js";
import { listRecords } from "../../src/launcher/index.js";
import type { State } from "../../src/provider/inputs.js";
import { unknownValue } from "../../src/provider/unknown.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { expectNeighbours, sampleRvf, writeWeakRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually, isAlive } from "../support/wait.js";
import { checkedInputs, makeVm } from "./made.js";
import { asSent, startPlugin, type Plugin } from "./plugin.js";
import { sampleState } from "./samples.js";

const state = privateState();
let plugin: Plugin;

beforeAll(async () => {
  plugin = await startPlugin();
});
afterAll(async () => await plugin[Symbol.asyncDispose]());

async function expectAnswers({ url, rvfPath }: State): Promise<void> {
  const vector = sampleQuery(1);
  expectNeighbours(await query(url, vector, 5), neighboursOnHost(rvfPath, vector, 5));
}

test("create returns every output, and the VM answers like the store on the host", async () => {
  await using vm = await makeVm(plugin, { sshPort: 0 });
  const { id, inputs, outs } = vm;
  expect(Object.keys(outs).sort()).toEqual(Object.keys({ ...sampleState, sshPort: 0 }).sort());
  expect(outs).toMatchObject({
    ...inputs,
    vmId: id,
    url: `http://127.0.0.1:${outs.boundApiPort}`,
    status: "running",
    accelerator: "tcg",
    acceleratorReason: "enableKvm is false",
    kernelSha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    startedAt: expect.stringMatching(/^\d{4}-.*Z$/) as string,
    qemuVersion: expect.stringMatching(/^\d+\.\d+/) as string,
  });
  expect(Object.values(outs)).not.toContain(undefined);
  for (const key of ["boundApiPort", "boundSshPort", "pid", "bootMillis"] as const) {
    expect([key, Number.isInteger(outs[key]) && Number(outs[key]) > 0]).toEqual([key, true]);
  }
  expect(isAlive(outs.pid)).toBe(true);
  expect(outs.kernelIntegrity).toBe("not signed; image hash SHA3-256 matches; segment hash CRC32 matches");
  expect(plugin.output()).toMatch(/^db: booted in \d+\.\d s under (kvm|tcg)$/);
  await expectAnswers(outs);
});

test("what is weak about a kernel and what is open to others is told under the resource's name", async () => {
  const rvfPath = join(state.dir, "weak.rvf");
  await writeWeakRvf(rvfPath);
  await using own = await startPlugin();
  await using vm = await makeVm(own, { rvfPath, bindAddress: "0.0.0.0" });
  expect(vm.outs.kernelIntegrity).toMatch(/^not signed; image hash is a non-cryptographic fold \(/);
  await eventually(() => own.output().includes("booted"));
  expect(own.output().split("\n")).toEqual([
    "db: warning: The image hash is a non-cryptographic fold: it shows accidents, not forgery.",
    expect.stringMatching(/^db: warning: the guest's API is open on 0\.0\.0\.0 and has no authentication: /),
    expect.stringMatching(/^db: booted in /),
  ]);
});

test("delete powers the guest down, leaves nothing, and may be repeated", async () => {
  const { id, outs } = await makeVm(plugin);
  expect(outs.boundSshPort).toBeNull();
  await plugin.delete(id, outs);
  expect(plugin.output()).toMatch(
    new RegExp(`${id}: powered off by its guest \\(powerdown\\) after \\d+ ms`),
  );
  expect(await leftovers([id])).toEqual([]);
  await plugin.delete(id, outs);
  expect(plugin.output()).toContain(`${id}: was already off (gone)`);
});

test("delete needs neither the RVF nor a QEMU on PATH", async () => {
  const rvfPath = join(state.dir, "passing.rvf");
  await copyFile(await sampleRvf(), rvfPath);
  const { id, outs } = await makeVm(plugin, { rvfPath });
  await rm(rvfPath);
  await using bare = await startPlugin({ env: { PATH: state.dir } });
  await bare.delete(id, outs);
  expect(bare.output()).toContain("(powerdown)");
  expect(await leftovers([id])).toEqual([]);
});

test("diff: nothing changed, each input changed, the VM died", async () => {
  await using vm = await makeVm(plugin);
  const { id, inputs, outs } = vm;
  expect(await plugin.diff(id, outs, inputs)).toBe(false);
  expect(await plugin.diff(id, outs, { ...inputs, __provider: `${inputs.__provider}\n` })).toBe(false);

  const changes = {
    rvfPath: "/other.rvf",
    memoryMb: 256,
    vcpus: 2,
    apiPort: 8080,
    sshPort: 0,
    bindAddress: "0.0.0.0",
    enableKvm: true,
    qemuBinary: "qemu-system-x86_64",
    extraArgs: ["-name", "db"],
    allowUnsafeArgs: true,
    kernelPath: "/boot/vmlinuz",
    initramfsPath: "/boot/initrd",
    readyTimeoutSeconds: 61,
    firstOutputTimeoutSeconds: 11,
    shutdownTimeoutSeconds: 11,
    rvfFingerprint: "other",
    kernelFingerprint: "other",
    initramfsFingerprint: "other",
    owner: { ...inputs.owner, stack: "other" },
  };
  for (const [key, value] of Object.entries(changes)) {
    expect([key, await plugin.diff(id, outs, { ...inputs, [key]: value })]).toEqual([key, true]);
    const unknown = { ...inputs, [key]: unknownValue };
    expect([key, await plugin.diff(id, outs, unknown)]).toEqual([key, true]);
  }

  process.kill(outs.pid, "SIGKILL");
  await eventually(() => !isAlive(outs.pid));
  expect(await plugin.diff(id, outs, inputs)).toBe(true);
});

test("read: running, then killed, then brought back by update, then gone", async () => {
  await using vm = await makeVm(plugin);
  const { id, inputs, outs } = vm;
  expect(await plugin.read(id, outs)).toEqual({ id, props: outs });

  process.kill(outs.pid, "SIGKILL");
  await eventually(() => !isAlive(outs.pid));
  const killed = await plugin.read(id, outs);
  const told = { condition: killed.props.status, status: expect.stringMatching(/^exited: /) as string };
  expect(killed).toEqual({
    id,
    props: { ...outs, pid: 0, ...told },
    inputs: { ...inputs, condition: killed.props.status },
  });
  expect(await plugin.diff(id, killed.props as State, inputs)).toBe(true);

  const back = await plugin.update(id, killed.props as State, inputs);
  expect(back).toMatchObject({ vmId: id, status: "running", boundApiPort: outs.boundApiPort });
  expect(back.pid).not.toBe(outs.pid);
  await expectAnswers(back);

  await plugin.delete(id, back);
  expect((await plugin.read(id, back)).id).toBe("");
});

test("a look-up by id gives the VM's outputs, or says that there is none", async () => {
  await using vm = await makeVm(plugin);
  const found = await plugin.read(vm.id, asSent({ rvfPath: vm.inputs.rvfPath }));
  expect(found).toMatchObject({ id: vm.id, props: { vmId: vm.id, url: vm.outs.url, pid: vm.outs.pid } });
  await expect(plugin.read("db-00000000", asSent({ rvfPath: vm.inputs.rvfPath }))).rejects.toThrow(
    "VmNotFound: there is no VM db-00000000 on this host",
  );
});

test("update with the same inputs changes nothing; with other memory it boots anew under its id", async () => {
  await using vm = await makeVm(plugin);
  const { id, inputs, outs } = vm;
  expect(await plugin.update(id, outs, inputs)).toEqual(outs);

  const more = { ...inputs, memoryMb: 160 };
  const updated = await plugin.update(id, outs, more);
  expect(updated).toMatchObject({ ...more, vmId: id, boundApiPort: outs.boundApiPort, status: "running" });
  expect(Object.keys(updated).sort()).toEqual(Object.keys(outs).sort());
  expect(updated.pid).not.toBe(outs.pid);
  expect(isAlive(outs.pid)).toBe(false);
  expect(await plugin.diff(id, updated, more)).toBe(false);
  await expectAnswers(updated);
});

test("an update that cannot work leaves the VM as it is", async () => {
  await using vm = await makeVm(plugin);
  const { id, inputs, outs } = vm;
  const wrong = { ...inputs, qemuBinary: "/missing/qemu" };
  await expect(plugin.update(id, outs, wrong)).rejects.toThrow(/QemuNotFound: /);
  expect(await plugin.read(id, outs)).toEqual({ id, props: outs });
  expect(await plugin.diff(id, outs, inputs)).toBe(false);
});

test("a fixed port is the VM's own: free for its resource, taken for every other", async () => {
  const { boundApiPort: apiPort } = await (async () => {
    await using vm = await makeVm(plugin);
    return vm.outs;
  })();
  await using vm = await makeVm(plugin, { apiPort });
  expect(vm.outs.boundApiPort).toBe(apiPort);
  await checkedInputs(plugin, { apiPort });

  await using ofAnotherProgram = await startPlugin();
  const sent = asSent({ rvfPath: vm.inputs.rvfPath, apiPort }, "other");
  expect((await ofAnotherProgram.check(sent)).failures).toEqual([
    {
      property: "apiPort",
      reason: expect.stringContaining(`taken by the VM ${vm.id} (pid ${vm.outs.pid})`) as string,
    },
  ]);
  expect((await ofAnotherProgram.check(sent)).failures[0]!.reason).toContain(
    `\nIt is the VM ${vm.id} of the Pulumi stack project/stack. \`microvm stop ${vm.id}\` ends it`,
  );

  const updated = await plugin.update(vm.id, vm.outs, { ...vm.inputs, memoryMb: 160 });
  expect(updated.boundApiPort).toBe(apiPort);
});

test("two creates at once give two VMs", async () => {
  const [a, b] = await Promise.all([makeVm(plugin, {}, "a"), makeVm(plugin, {}, "b")]);
  await using first = a;
  await using second = b;
  expect(first.id).toMatch(/^a-/);
  expect(second.id).toMatch(/^b-/);
  expect(second.outs.boundApiPort).not.toBe(first.outs.boundApiPort);
  expect((await listRecords()).map(({ vmId }) => vmId).sort()).toEqual([first.id, second.id].sort());
  await Promise.all([first, second].map(({ outs }) => expectAnswers(outs)));
});

test("nothing is left of any of them", async () => {
  expect(await leftovers()).toEqual([]);
});
