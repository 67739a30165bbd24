/** Ends that nobody asked for, and launches that were called off. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { attach, createVm, destroyVm, launch, statusOf } from "../../src/launcher/index.js";
import { withVmLock } from "../../src/launcher/record/lock.js";
import type { Generation, VmRecord } from "../../src/launcher/record/record.js";
import { vmsDir } from "../../src/paths.js";
import { sampleRvf, writeWeakRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually, isAlive } from "../support/wait.js";

privateState();
let rvfPath: string;
const folder = mkdtempSync(join(tmpdir(), "microvm-end-"));
const weakRvf = join(folder, "weak.rvf");
beforeAll(async () => {
  rvfPath = await sampleRvf();
  await writeWeakRvf(weakRvf);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a QEMU that was killed is told as such, and its number in another process's hands does no harm", async () => {
  const vm = await launch({ rvfPath, apiPort: 0 });
  process.kill(vm.pid, "SIGKILL");
  await eventually(() => !isAlive(vm.pid));
  expect(await vm.status()).toMatchObject({
    state: "exited",
    status: "exited: QEMU was killed by SIGKILL",
    exitCode: 137,
    pid: 0,
  });

  const stranger = spawn("sleep", ["1000"], { stdio: "ignore" });
  try {
    const { consoleLog } = await vm.status();
    await writeFile(join(dirname(consoleLog), "qemu.pid"), `${stranger.pid}\n`);
    expect(await vm.status()).toMatchObject({ state: "exited", pid: 0 });
    expect(await vm.shutdown()).toMatchObject({ rung: "gone" });
    expect(await vm.kill()).toMatchObject({ rung: "gone" });
    expect(await vm.destroy()).toMatchObject({ rung: "gone" });
    expect(isAlive(stranger.pid!)).toBe(true);
  } finally {
    stranger.kill("SIGKILL");
    await once(stranger, "exit");
  }
  expect(await leftovers([vm.vmId])).toEqual([]);
});

test.each([
  // The kernel's weak hash is warned of before anything is started.
  ["before it begins", (text: string) => text.startsWith("warning")],
  ["while QEMU starts", (text: string) => text.startsWith("starting QEMU")],
  ["while the guest boots", (text: string) => text.startsWith("QEMU runs")],
])("a launch that is called off %s leaves nothing", async (_, when) => {
  const abort = new AbortController();
  const launched = createVm(
    { rvfPath: weakRvf, apiPort: 0 },
    { signal: abort.signal, onProgress: (text) => void (when(text) && abort.abort()) },
  );
  await expect(launched).rejects.toMatchObject({ code: "Cancelled" });
  expect(await leftovers()).toEqual([]);
});

test("a launch whose QEMU ends as soon as it answered leaves nothing", async () => {
  let pid = 0;
  const onProgress = (text: string) => {
    pid ||= Number(/^QEMU runs as process (\d+)/.exec(text)?.[1] ?? 0);
    if (text.startsWith("booted")) process.kill(pid, "SIGKILL");
  };
  await expect(launch({ rvfPath, apiPort: 0 }, { onProgress })).rejects.toMatchObject({
    code: "VmNotRunning",
  });
  expect(await leftovers()).toEqual([]);
});

test("a launch whose process died is cleared away by the owner's next one", async () => {
  const owner = { project: "p", stack: "s", resource: "db" };
  const first = await createVm({ rvfPath, apiPort: 0 }, { owner });
  // As it stands when the launching process dies between the spawn and the first answer.
  const path = join(vmsDir(), first.vmId, "record.json");
  const record = JSON.parse(await readFile(path, "utf8")) as VmRecord & { generation: Generation };
  const { pid: _, startTicks: __, ...started } = record.generation;
  const creating = { ...record, phase: "creating", generation: started };
  await writeFile(path, JSON.stringify(creating));
  expect(await statusOf(first.vmId)).toMatchObject({ state: "creating" });

  // While its launcher is at it, as this process is with the VM's lock, it is nobody's to clear away.
  await withVmLock(first.vmId, async () => {
    await expect(createVm({ rvfPath: "/no/such.rvf", apiPort: 0 }, { owner })).rejects.toThrow();
    const status = `process ${process.pid} is at work on it`;
    expect(await statusOf(first.vmId)).toMatchObject({ state: "creating", pid: first.pid, status });
    await expect(attach(first.vmId)).rejects.toMatchObject({ code: "VmBusy" });
  });

  await expect(attach(first.vmId)).rejects.toMatchObject({
    code: "VmNotRunning",
    message: `${first.vmId} is not running: its launch was interrupted, and QEMU runs`,
  });

  const second = await createVm({ rvfPath, apiPort: 0 }, { owner });
  expect(await statusOf(first.vmId)).toBeUndefined();
  expect(isAlive(first.pid)).toBe(false);
  await destroyVm(second.vmId, { from: "sigkill" });
  expect(await leftovers([first.vmId, second.vmId])).toEqual([]);
});
