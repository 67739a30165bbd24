/** The next generation takes the place of the one that serves: what is in flight, what fails, and what is cut short. */
import { readdir, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import {
  createVm,
  destroyVm,
  isPortFree,
  pruneVms,
  statusOf,
  updateVm,
  type VmStatus,
} from "../../../src/launcher/index.js";
import { readRecord } from "../../../src/launcher/record/record.js";
import { vmDir } from "../../../src/launcher/record/vm-folder.js";
import { query } from "../../../src/client/index.js";
import { sampleQuery } from "../../../tools/sample-rvf.js";
import { startLauncher } from "../../chaos/launcher.js";
import { finish, halfAsked } from "../../support/half-asked.js";
import { freePort } from "../../support/ports.js";
import { sampleRvf } from "../../support/rvf.js";
import { leftovers, privateState } from "../../support/state.js";
import { eventually, isAlive } from "../../support/wait.js";

const state = privateState();
const vector = sampleQuery(1);
let rvfPath: string;
let vm: VmStatus;
const spec = (changes = {}) => ({ rvfPath, apiPort: 0, ...changes });

beforeAll(async () => {
  rvfPath = await sampleRvf();
  vm = await createVm(spec());
});

/** One generation, the one that serves, and nothing of any other. */
async function expectAlone(): Promise<void> {
  const record = (await readRecord(vm.vmId))!;
  expect(record).not.toHaveProperty("next");
  expect(record).not.toHaveProperty("former");
  const folders = (await readdir(vmDir(vm.vmId))).filter((name) => /^\d+$/.test(name));
  expect(folders).toEqual([String(record.generation!.number)]);
  expect(await query(vm.url, vector, 3)).toHaveLength(3);
}

test("one that does not become ready is ended, and the old one goes on as it was", async () => {
  const initramfsPath = join(state.dir, "not-an-initramfs");
  await writeFile(initramfsPath, "nothing that a kernel could run\n");
  await expect(updateVm(vm.vmId, spec({ initramfsPath }))).rejects.toMatchObject({
    code: "QemuExited",
    message: expect.stringContaining("panicked") as string,
    hint: expect.stringMatching(/The VM goes on serving as it was before this update\.$/) as string,
  });
  expect(await statusOf(vm.vmId)).toEqual(vm);
  await expectAlone();
});

test("a query that is in flight is answered by the old one, while ports and memory change at once", async () => {
  const [apiPort, sshPort, before] = [await freePort(), await freePort(), vm];
  const progress: string[] = [];
  const slow = await halfAsked(before.boundApiPort);
  const update = updateVm(vm.vmId, spec({ memoryMb: 140, apiPort, sshPort }), {
    onProgress: (text) => progress.push(text),
  });
  await eventually(() => progress.some((text) => text.startsWith("ports handed over in ")));
  // The new one has the ports, the old one its connection.
  expect(await query(`http://127.0.0.1:${apiPort}`, vector, 3)).toHaveLength(3);
  expect(await isPortFree(before.boundApiPort)).toBe(true);
  expect(isAlive(before.pid)).toBe(true);
  expect(await finish(slow)).toMatch(/^HTTP\/1.1 200 /);
  vm = await update;
  expect(vm).toMatchObject({
    vmId: before.vmId,
    boundApiPort: apiPort,
    boundSshPort: sshPort,
    state: "running",
  });
  expect(progress.at(-1)).toMatch(/^the former VM powered off by its guest \(powerdown\) after \d+ ms$/);
  await eventually(() => !isAlive(before.pid));
  await expectAlone();
});

test("a connection that is idle between two requests is closed by the drain, which waits for none", async () => {
  const progress: string[] = [];
  const idle = connect(vm.boundApiPort, "127.0.0.1");
  idle.write("GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n");
  const [reply] = (await once(idle, "data")) as [Buffer];
  expect(reply.toString()).toMatch(/^HTTP\/1.1 200 /);
  const closed = once(idle, "close");
  const ports = { apiPort: vm.boundApiPort, sshPort: vm.boundSshPort };
  vm = await updateVm(vm.vmId, spec({ ...ports, memoryMb: 144 }), {
    onProgress: (text) => progress.push(text),
  });
  await closed;
  expect(progress.join("\n")).not.toContain("connections to the former VM were still open");
  await expectAlone();
});

test("a launcher that is killed while the next one boots: the old one serves, and the next update ends the other", async () => {
  const launcher = startLauncher({
    does: "update",
    vmId: vm.vmId,
    spec: spec({ memoryMb: 150, sshPort: 0 }),
  });
  const next = await eventually(async () => (await readRecord(vm.vmId))?.next?.pid);
  launcher.signal("SIGKILL");
  await launcher.outcome;
  expect(await statusOf(vm.vmId)).toEqual({ ...vm, interrupted: true });
  expect(isAlive(next)).toBe(true);
  expect(await query(vm.url, vector, 3)).toHaveLength(3);

  const same = spec({ memoryMb: 144, apiPort: vm.boundApiPort, sshPort: vm.boundSshPort });
  expect(await updateVm(vm.vmId, same)).toEqual(vm);
  await eventually(() => !isAlive(next));
  await expectAlone();
});

test("a launcher that is killed while the old one drains: the new one serves, and prune ends the other", async () => {
  const before = vm;
  const slow = await halfAsked(before.boundApiPort);
  const launcher = startLauncher({ does: "update", vmId: vm.vmId, spec: spec({ memoryMb: 150 }) });
  await eventually(() => launcher.progress.some((text) => text.startsWith("ports handed over in ")));
  launcher.signal("SIGKILL");
  await launcher.outcome;
  slow.destroy();
  vm = (await statusOf(vm.vmId))!;
  expect(vm).toMatchObject({
    state: "running",
    interrupted: true,
    boundApiPort: before.boundApiPort,
    spec: { memoryMb: 150 },
  });
  expect(vm.pid).not.toBe(before.pid);
  expect(isAlive(before.pid)).toBe(true);

  expect((await pruneVms()).removed).toEqual([
    expect.objectContaining({ vmId: vm.vmId, what: "an interrupted update" }),
  ]);
  await eventually(() => !isAlive(before.pid));
  vm = (await statusOf(vm.vmId))!;
  expect(vm).not.toHaveProperty("interrupted");
  await expectAlone();
});

test("destroy ends them all", async () => {
  const launcher = startLauncher({ does: "update", vmId: vm.vmId, spec: spec({ memoryMb: 160 }) });
  await eventually(async () => (await readRecord(vm.vmId))?.next?.pid);
  launcher.signal("SIGKILL");
  await launcher.outcome;
  await destroyVm(vm.vmId);
  expect(await leftovers([vm.vmId])).toEqual([]);
});
