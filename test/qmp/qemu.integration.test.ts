import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  connectQmp,
  hostForwards,
  queryStatus,
  quit,
  systemPowerdown,
  type QmpConnection,
} from "../../src/qmp/index.js";

const uuid = "11111111-2222-3333-4444-555555555555";

interface Qemu extends AsyncDisposable {
  socket: string;
  /** Resolves with QEMU's exit status. */
  exit: Promise<unknown>;
}

/** A QEMU that is paused before its first instruction. */
async function pausedQemu(machine: string): Promise<Qemu> {
  const folder = await mkdtemp(join(tmpdir(), "qmp-qemu-"));
  const socket = join(folder, "s");
  const rules = "hostfwd=tcp:127.0.0.1:0-:8080,hostfwd=tcp::0-:2222,hostfwd=udp:127.0.0.1:0-:53";
  const argv = ["-machine", machine, "-S", "-nodefaults", "-display", "none", "-uuid", uuid];
  const net = ["-netdev", `user,id=net0,${rules}`, "-qmp", `unix:${socket},server=on,wait=off`];
  const child = spawn("qemu-system-x86_64", [...argv, ...net], { stdio: "ignore" });
  const exit = once(child, "exit").then(([status]: unknown[]) => status);
  return {
    socket,
    exit,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exit;
      await rm(folder, { recursive: true });
    },
  };
}

/** Connects as soon as QEMU has made its socket. */
async function connectSoon(path: string): Promise<QmpConnection> {
  for (const deadline = Date.now() + 20_000; ; await sleep(20)) {
    try {
      return await connectQmp(path);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

test.each(["none", "microvm"])(
  "a real QEMU, machine %s, from greeting to quit",
  async (machine) => {
    await using qemu = await pausedQemu(machine);
    await using qmp = await connectSoon(qemu.socket);

    expect(qmp.version.qemu.major).toBeGreaterThanOrEqual(7);
    expect(await queryStatus(qmp)).toEqual({ status: "prelaunch", running: false });
    expect(await qmp.execute("query-uuid")).toEqual({ UUID: uuid });

    const forwards = await hostForwards(qmp);
    const port = expect.any(Number) as number;
    expect(forwards).toHaveLength(2);
    expect(forwards).toContainEqual({
      hostAddress: "127.0.0.1",
      hostPort: port,
      guestAddress: "10.0.2.15",
      guestPort: 8080,
    });
    expect(forwards).toContainEqual({
      hostAddress: "0.0.0.0",
      hostPort: port,
      guestAddress: "10.0.2.15",
      guestPort: 2222,
    });
    expect(forwards.every(({ hostPort }) => hostPort > 0)).toBe(true);

    await expect(qmp.execute("no-such-command")).rejects.toMatchObject({
      code: "Qmp",
      message: expect.stringContaining("CommandNotFound") as string,
    });

    const pressed = qmp.once("POWERDOWN");
    await systemPowerdown(qmp);
    await pressed;

    const shutdown = qmp.once("SHUTDOWN");
    await quit(qmp);
    expect((await shutdown).data).toMatchObject({ guest: false, reason: "host-qmp-quit" });
    await qmp.closed;
    expect(await qemu.exit).toBe(0);
    await expect(connectQmp(qemu.socket)).rejects.toMatchObject({ code: "QmpIo" });
  },
  60_000,
);

test("a second client is told that the monitor is busy, and is served once the first has left", async () => {
  await using qemu = await pausedQemu("none");
  const first = await connectSoon(qemu.socket);
  const busy = {
    code: "QmpIo",
    message: expect.stringContaining("another client holds the monitor") as string,
  };
  await expect(connectQmp(qemu.socket, { timeoutMs: 200 })).rejects.toMatchObject(busy);
  const crowd = await Promise.allSettled([1, 2, 3, 4].map(() => connectQmp(qemu.socket, { timeoutMs: 200 })));
  for (const result of crowd) expect(result).toMatchObject({ status: "rejected", reason: busy });

  const next = connectQmp(qemu.socket, { timeoutMs: 20_000 });
  await first.close();
  await using second = await next;
  expect(await queryStatus(second)).toMatchObject({ status: "prelaunch" });
  await quit(second);
}, 60_000);
