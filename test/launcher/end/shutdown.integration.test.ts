/** How far down the ladder a VM that does not obey has to be taken. The QEMUs here never run a guest. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { connectQmp } from "../../../src/qmp/index.js";
import { type VmRecord } from "../../../src/launcher/record/record.js";
import { generationFiles, socketPaths } from "../../../src/launcher/record/vm-folder.js";
import { shutdownProcess } from "../../../src/launcher/end/shutdown.js";
import { parseSpec } from "../../../src/launcher/spec.js";
import { generationWith, recordWith } from "../../support/record.js";
import { privateState } from "../../support/state.js";
import { eventually } from "../../support/wait.js";

privateState();

/** A QEMU that is paused before its first instruction, and its record. It ignores the power button: no CPU runs. */
async function paused(vmId: string): Promise<{ record: VmRecord; qemu: ChildProcess }> {
  const uuid = randomUUID();
  const files = generationFiles(vmId, 1);
  const { qmpSocket, controlSocket } = socketPaths(vmId, 1);
  await mkdir(files.dir, { recursive: true });
  const qemu = spawn(
    "qemu-system-x86_64",
    [
      ...["-machine", "microvm", "-S", "-nodefaults", "-display", "none", "-uuid", uuid],
      ...["-pidfile", files.pidFile, "-qmp", `unix:${controlSocket},server=on,wait=off`],
      ...["-qmp", `unix:${qmpSocket},server=on,wait=off`],
    ],
    { stdio: "ignore" },
  );
  await eventually(async () => {
    const monitor = await connectQmp(controlSocket).catch(() => undefined);
    await monitor?.close();
    return monitor !== undefined;
  });
  const spec = parseSpec({ rvfPath: "/db.rvf", shutdownTimeoutSeconds: 3 });
  const generation = generationWith({ uuid, qmpSocket, controlSocket });
  const record = recordWith({ vmId, name: vmId, spec, generation });
  return { record, qemu };
}

// Each waits for most of its time, so they wait together.
test.concurrent(
  "a guest that ignores its power button: quit, after the time it is given for that",
  async () => {
    const { record, qemu } = await paused("ignores");
    const ended = once(qemu, "exit");
    const { rung, millis } = await shutdownProcess(record);
    expect(rung).toBe("quit");
    expect(millis).toBeGreaterThanOrEqual(3000);
    expect(await ended).toEqual([0, null]);
    expect(await shutdownProcess(record)).toMatchObject({ rung: "gone" });
  },
);

test.concurrent("a user who holds the published monitor is in nobody's way", async () => {
  const { record, qemu } = await paused("held");
  const ended = once(qemu, "exit");
  await using _user = await connectQmp(record.generation!.qmpSocket);
  expect(await shutdownProcess(record)).toMatchObject({ rung: "quit" });
  expect(await ended).toEqual([0, null]);
});

test.concurrent("a monitor whose sockets were removed: SIGTERM", async () => {
  const { record, qemu } = await paused("removed");
  const ended = once(qemu, "exit");
  await rm(record.generation!.controlSocket);
  await rm(record.generation!.qmpSocket);
  expect(await shutdownProcess(record)).toMatchObject({ rung: "sigterm" });
  expect(await ended).toEqual([0, null]);
});

test.concurrent("a QEMU that was stopped is let go on, and then asked", async () => {
  const { record, qemu } = await paused("stopped");
  const ended = once(qemu, "exit");
  process.kill(qemu.pid!, "SIGSTOP");
  expect(await shutdownProcess(record)).toMatchObject({ rung: "quit" });
  expect(await ended).toEqual([0, null]);
});

test.concurrent(
  "a QEMU that is stopped again and again: SIGKILL, within the sum of the deadlines",
  async () => {
    const { record, qemu } = await paused("hung");
    const ended = once(qemu, "exit");
    process.kill(qemu.pid!, "SIGSTOP");
    const stopping = setInterval(() => qemu.kill("SIGSTOP"), 1);
    const report = await shutdownProcess(record).finally(() => clearInterval(stopping));
    expect(report.rung).toBe("sigkill");
    // connect, to either monitor, and SIGTERM; the power button and quit need a monitor.
    expect(report.millis).toBeLessThan(5000 + 5000 + 5000 + 5000);
    expect(await ended).toEqual([null, "SIGKILL"]);
  },
);

test.concurrent("the rungs above can be left out", async () => {
  const { record, qemu } = await paused("quick");
  const ended = once(qemu, "exit");
  expect(await shutdownProcess(record, { from: "quit" })).toMatchObject({ rung: "quit" });
  expect(await ended).toEqual([0, null]);
  const second = await paused("quicker");
  const killed = once(second.qemu, "exit");
  expect(await shutdownProcess(second.record, { from: "sigkill" })).toMatchObject({ rung: "sigkill" });
  expect(await killed).toEqual([null, "SIGKILL"]);
});
