/** What a status says of a QEMU that answers, but whose guest stands still: its monitor is played here. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { processWith } from "../../src/launcher/process.js";
import type { VmRecord } from "../../src/launcher/record.js";
import { parseSpec } from "../../src/launcher/spec.js";
import { statusOfRecord } from "../../src/launcher/status.js";
import { listen, monitor, reply } from "../qmp/peer.js";

test.each([
  ["paused", "paused"],
  ["guest-panicked", "its guest's kernel panicked and stands still (guest-panicked)"],
  ["internal-error", "QEMU halted its guest for an error of its own or of KVM (internal-error)"],
  ["io-error", "its guest stands still since an error of the host's disk (io-error)"],
])("a guest that stands still by QEMU's state %s is told with the cause", async (runState, status) => {
  const answer = { status: runState, running: false, singlestep: false };
  await using peer = await listen(monitor((request, socket) => socket.write(reply(request, answer))));
  const uuid = randomUUID();
  const program = "console.log(); setInterval(() => {}, 1e6)";
  const qemu = spawn(process.execPath, ["-e", program, "--", "-uuid", uuid], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  try {
    await once(qemu.stdout, "data");
    const { pid, startTicks } = processWith(qemu.pid!)!;
    const record: VmRecord = {
      format: 2,
      vmId: "db-1",
      name: "db",
      owner: null,
      createdAt: "2026-01-02T03:04:05.678Z",
      phase: "ready",
      spec: parseSpec({ rvfPath: "/db.rvf" }),
      generation: {
        number: 1,
        uuid,
        nonce: "n",
        qmpSocket: "/nowhere",
        controlSocket: peer.path,
        qemuVersion: "7.2.22",
        contentFingerprint: "f",
        kernelSha256: "s",
        kernelIntegrity: "verified",
        accelerator: "tcg",
        acceleratorReason: "there is no /dev/kvm",
        startedAt: "2026-01-02T03:04:05.678Z",
        pid,
        startTicks,
      },
    };
    expect(await statusOfRecord(record)).toMatchObject({ state: "paused", status, pid });
  } finally {
    qemu.kill("SIGKILL");
  }
});
