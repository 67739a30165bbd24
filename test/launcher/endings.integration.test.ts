/** Real ends of real VMs, as another process finds them afterwards, when nobody was watching. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { destroyVm, launch, type MicroVmHandle, type VmStatus } from "../../src/launcher/index.js";
import { connectQmp, quit } from "../../src/qmp/index.js";
import { json } from "../cli/command.js";
import { makeMemoryGroup, testOutOfMemory } from "../support/memory-group.js";
import { parentOf } from "../support/parent.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { tell, toldGuest, writeToldInitramfs } from "../support/told-guest.js";
import { eventually, isAlive } from "../support/wait.js";

const state = privateState();
let rvfPath: string;
let initramfsPath: string;
let vm: MicroVmHandle;
let guest: string;
beforeAll(async () => {
  rvfPath = await sampleRvf();
  initramfsPath = join(state.dir, "told-initramfs");
  await writeToldInitramfs(initramfsPath);
});
beforeEach(async () => {
  guest = join(state.dir, "told.sock");
  vm = await launch({ rvfPath, apiPort: 0, enableKvm: false, ...toldGuest(initramfsPath, guest) });
});
afterEach(async () => {
  await destroyVm(vm.vmId, { from: "sigkill" });
  expect(await leftovers([vm.vmId])).toEqual([]);
});

const signal = (name: NodeJS.Signals) => (): void => void process.kill(vm.pid, name);

async function statusAfterwards(): Promise<VmStatus> {
  await eventually(() => !isAlive(vm.pid));
  return await json<VmStatus>("status", vm.vmId);
}

test.each<[string, () => unknown, Partial<Record<keyof VmStatus, unknown>>]>([
  [
    "the guest's power-off",
    () => tell(guest, "o"),
    { ending: "clean", exitCode: 0, status: "exited: the guest powered off" },
  ],
  [
    "a panic",
    () => tell(guest, "c"),
    {
      ending: "panic",
      exitCode: 0,
      status: expect.stringMatching(
        /^exited: the guest's kernel panicked \(Kernel panic - not syncing: .*crash; before it: .*sysrq: Trigger a crash\)$/,
      ) as string,
    },
  ],
  [
    "the guest's reboot",
    () => tell(guest, "r"),
    { ending: "reset", exitCode: 0, status: "exited: the guest rebooted" },
  ],
  [
    "a reset without a word",
    () => tell(guest, "b"),
    { ending: "reset", exitCode: 0, status: "exited: the guest was reset without a word" },
  ],
  [
    "SIGKILL",
    signal("SIGKILL"),
    { ending: "killed", exitCode: 137, status: "exited: QEMU was killed by SIGKILL" },
  ],
  [
    "SIGTERM",
    signal("SIGTERM"),
    {
      ending: "killed",
      exitCode: 0,
      status: expect.stringMatching(
        new RegExp(`^exited: QEMU was ended by SIGTERM from process ${process.pid} \\(.+\\)$`),
      ) as string,
    },
  ],
  [
    "SIGSEGV",
    signal("SIGSEGV"),
    { ending: "crashed", exitCode: 139, status: "exited: QEMU crashed with SIGSEGV" },
  ],
  [
    "SIGABRT",
    signal("SIGABRT"),
    { ending: "crashed", exitCode: 134, status: "exited: QEMU crashed with SIGABRT" },
  ],
  [
    "QMP's quit",
    async () => {
      await using monitor = await connectQmp(vm.qmpSocket);
      await quit(monitor);
    },
    { ending: "killed", exitCode: 0, status: "exited: QEMU was ended through its monitor (quit)" },
  ],
])("%s", async (_, end, told) => {
  await end();
  expect(await statusAfterwards()).toMatchObject({ state: "exited", pid: 0, ...told });
});

test("a power-off that QEMU alone could tell of, because its shell had been killed", async () => {
  process.kill(parentOf(vm.pid), "SIGKILL");
  await tell(guest, "o");
  const status = await statusAfterwards();
  expect(status).toMatchObject({ state: "exited", ending: "clean", status: "exited: the guest powered off" });
  expect(status).not.toHaveProperty("exitCode");
});

testOutOfMemory("the host's out-of-memory killer, told of by the kernel's log", async () => {
  using group = makeMemoryGroup("microvm-test-vm", 200_000);
  writeFileSync(join(group.path, "cgroup.procs"), String(vm.pid));
  // Its answer takes QEMU more memory than that.
  const monitor = await connectQmp(vm.qmpSocket);
  await monitor.execute("query-qmp-schema").catch(() => {});
  await monitor.close();
  expect(await statusAfterwards()).toMatchObject({
    state: "exited",
    ending: "outOfMemory",
    exitCode: 137,
    status: expect.stringMatching(
      new RegExp(`^exited: the host, out of memory, killed QEMU \\(.*Killed process ${vm.pid} \\(qemu`),
    ) as string,
  });
});
