/** What a status says of a QEMU that answers, but whose guest stands still: its monitor is played here. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { processWith } from "../../../src/launcher/host/process.js";
import type { VmRecord } from "../../../src/launcher/record/record.js";
import { statusOfRecord } from "../../../src/launcher/evidence/status.js";
import { listen, monitor, reply, type Peer } from "../../qmp/peer.js";
import { generationWith, recordWith } from "../../support/record.js";

/** A process that passes for QEMU, with that monitor; it ends with the test. */
async function posingAs(peer: Peer): Promise<AsyncDisposable & { record: VmRecord }> {
  const uuid = randomUUID();
  const program = "console.log(); setInterval(() => {}, 1e6)";
  const qemu = spawn(process.execPath, ["-e", program, "--", "-uuid", uuid], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  await once(qemu.stdout, "data");
  const { pid, startTicks } = processWith(qemu.pid!)!;
  return {
    record: recordWith({ generation: generationWith({ uuid, controlSocket: peer.path, pid, startTicks }) }),
    async [Symbol.asyncDispose]() {
      qemu.kill("SIGKILL");
      await once(qemu, "exit");
    },
  };
}

test.each([
  ["paused", "paused"],
  ["guest-panicked", "its guest's kernel panicked and stands still (guest-panicked)"],
  ["internal-error", "QEMU halted its guest for an error of its own or of KVM (internal-error)"],
  ["io-error", "its guest stands still since an error of the host's disk (io-error)"],
])("a guest that stands still by QEMU's state %s is told with the cause", async (runState, status) => {
  const answer = { status: runState, running: false, singlestep: false };
  await using peer = await listen(monitor((request, socket) => socket.write(reply(request, answer))));
  await using qemu = await posingAs(peer);
  const { pid } = qemu.record.generation!;
  expect(await statusOfRecord(qemu.record)).toMatchObject({ state: "paused", status, pid });
});

test("a monitor that takes one client at a time is enough for all who ask at once", async () => {
  const answer = { status: "running", running: true, singlestep: false };
  let clients = 0;
  const serve = monitor((request, socket) => socket.write(reply(request, answer)));
  await using peer = await listen((socket) => {
    // As QEMU does, it lets everybody else wait.
    if (clients > 0) return;
    clients++;
    socket.on("close", () => clients--);
    serve(socket);
  });
  await using qemu = await posingAs(peer);
  const statuses = await Promise.all(Array.from({ length: 80 }, () => statusOfRecord(qemu.record)));
  expect(statuses.map(({ status }) => status)).toEqual(Array.from({ length: 80 }, () => "running"));
});
