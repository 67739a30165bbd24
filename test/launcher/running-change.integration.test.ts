/** What changes in a VM while it runs: neither its guest nor a connection notices. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import {
  attach,
  createVm,
  destroyVm,
  isPortFree,
  MicroVmError,
  statusOf,
  updateVm,
  type VmStatus,
} from "../../src/launcher/index.js";
import { readRecord } from "../../src/launcher/record/record.js";
import { query } from "../../src/client/index.js";
import { connectQmp, hostForwards, removeHostForward } from "../../src/qmp/index.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { finish, halfAsked } from "../support/half-asked.js";
import { freePort } from "../support/ports.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually } from "../support/wait.js";

privateState();
let rvfPath: string;
let vm: VmStatus;
const spec = (changes = {}) => ({ rvfPath, apiPort: 0, ...changes });
const vector = sampleQuery(1);

/** Host address, host port and guest port of each, by guest port. */
const forwardsOf = async ({ qmpSocket }: VmStatus) => {
  await using monitor = await connectQmp(qmpSocket);
  return (await hostForwards(monitor))
    .sort((a, b) => b.guestPort - a.guestPort)
    .map(({ hostAddress, hostPort, guestPort }) => [hostAddress, hostPort, guestPort]);
};

beforeAll(async () => {
  rvfPath = await sampleRvf();
  vm = await createVm(spec());
});

test("deadlines are written down, and nothing else happens", async () => {
  const progress: string[] = [];
  const deadlines = { readyTimeoutSeconds: 50, firstOutputTimeoutSeconds: 5, shutdownTimeoutSeconds: 7 };
  const next = await updateVm(vm.vmId, spec(deadlines), { onProgress: (text) => progress.push(text) });
  expect(next).toEqual({ ...vm, spec: { ...vm.spec, ...deadlines } });
  expect(progress).toEqual([]);
  vm = await updateVm(vm.vmId, spec());
});

test("other ports: the same process, and what is in flight on the old one is answered", async () => {
  const [apiPort, sshPort, before] = [await freePort(), await freePort(), vm.boundApiPort];
  const open = await halfAsked(before);
  const next = await updateVm(vm.vmId, spec({ apiPort, sshPort }));
  expect(next).toMatchObject({ pid: vm.pid, boundApiPort: apiPort, boundSshPort: sshPort, state: "running" });
  expect(await forwardsOf(next)).toEqual([
    ["127.0.0.1", apiPort, 8080],
    ["127.0.0.1", sshPort, 2222],
  ]);
  expect(await finish(open)).toMatch(/^HTTP\/1.1 200 /);
  expect(await isPortFree(before)).toBe(true);
  expect(await query(next.url, vector, 3)).toHaveLength(3);
  expect(await statusOf(vm.vmId)).toEqual(next);
  vm = next;
});

test("ports change places", async () => {
  const [apiPort, sshPort] = [vm.boundSshPort!, vm.boundApiPort];
  vm = await updateVm(vm.vmId, spec({ apiPort, sshPort }));
  expect(await forwardsOf(vm)).toEqual([
    ["127.0.0.1", apiPort, 8080],
    ["127.0.0.1", sshPort, 2222],
  ]);
});

test("another address keeps the port, which two addresses cannot have at once", async () => {
  const progress: string[] = [];
  const { pid, boundApiPort } = vm;
  const opened = spec({ apiPort: 0, bindAddress: "0.0.0.0" });
  vm = await updateVm(vm.vmId, opened, { onProgress: (text) => progress.push(text) });
  expect(vm).toMatchObject({ pid, boundApiPort });
  expect(vm).not.toHaveProperty("boundSshPort");
  expect(await forwardsOf(vm)).toEqual([["0.0.0.0", boundApiPort, 8080]]);
  expect(progress[0]).toMatch(/^warning: the guest's API is open on 0\.0\.0\.0/);
  expect(await query(vm.url, vector, 3)).toHaveLength(3);
  vm = await updateVm(vm.vmId, spec());
  expect(await forwardsOf(vm)).toEqual([["127.0.0.1", boundApiPort, 8080]]);
});

test("a port that somebody has: refused by name, and all is as it was", async () => {
  const holder = createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as AddressInfo;
  const before = await forwardsOf(vm);
  const moved = updateVm(vm.vmId, spec({ apiPort: await freePort(), sshPort: port }));
  await expect(moved).rejects.toMatchObject({ code: "PortInUse", property: "sshPort" });
  holder.close();
  expect(await forwardsOf(vm)).toEqual(before);
  expect(await statusOf(vm.vmId)).toEqual(vm);
});

test("an address of which somebody has the port: refused, and the port is open again where it was", async () => {
  const holder = createServer().listen(vm.boundApiPort, "127.0.0.2");
  await once(holder, "listening");
  const before = await forwardsOf(vm);
  const opened = updateVm(vm.vmId, spec({ bindAddress: "0.0.0.0" }));
  await expect(opened).rejects.toMatchObject({ code: "PortInUse" });
  holder.close();
  expect(await forwardsOf(vm)).toEqual(before);
  expect(await query(vm.url, vector, 3)).toHaveLength(3);
  expect(await statusOf(vm.vmId)).toEqual(vm);
});

test("a forward that was removed by hand comes back with the next change", async () => {
  {
    await using monitor = await connectQmp(vm.qmpSocket);
    const [forward] = await hostForwards(monitor);
    await removeHostForward(monitor, { ...forward!, netdev: "net0" });
  }
  const apiPort = await freePort();
  vm = await updateVm(vm.vmId, spec({ apiPort }));
  expect(await forwardsOf(vm)).toEqual([["127.0.0.1", apiPort, 8080]]);
});

test("of several changes at once each finds the VM as the last one left it", async () => {
  const ports = [await freePort(), await freePort(), await freePort()];
  const changes = await Promise.all(ports.map((apiPort) => updateVm(vm.vmId, spec({ apiPort }))));
  expect(changes.map(({ pid }) => pid)).toEqual(ports.map(() => vm.pid));
  const { generation } = (await readRecord(vm.vmId))!;
  expect(ports).toContain(generation!.boundApiPort);
  expect(await forwardsOf(vm)).toEqual([["127.0.0.1", generation!.boundApiPort, 8080]]);
});

test("while it is relaunched others are told to wait, and it can be killed in any case", async () => {
  const relaunch = updateVm(vm.vmId, spec({ memoryMb: 140 })).catch((error: unknown) => error);
  await eventually(async () => (await readRecord(vm.vmId))?.next);
  // It serves meanwhile.
  expect(await statusOf(vm.vmId)).toMatchObject({ state: "running", pid: vm.pid });
  const impatient = { signal: AbortSignal.timeout(200) };
  await expect(updateVm(vm.vmId, spec(), impatient)).rejects.toMatchObject({ code: "Cancelled" });
  await destroyVm(vm.vmId, { from: "sigkill" });
  expect(await relaunch).toBeInstanceOf(MicroVmError);
  await expect(attach(vm.vmId)).rejects.toMatchObject({ code: "VmNotFound" });
  expect(await leftovers([vm.vmId])).toEqual([]);
});
