import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  addHostForward,
  connectQmp,
  hostForwards,
  queryStatus,
  quit,
  removeHostForward,
  systemPowerdown,
  type QmpConnection,
} from "../../src/qmp/index.js";

const uuid = "11111111-2222-3333-4444-555555555555";

interface Qemu extends AsyncDisposable {
  socket: string;
  /** A second monitor. */
  observer: string;
  /** Resolves with QEMU's exit status. */
  exit: Promise<unknown>;
}

/** A QEMU that is paused before its first instruction. */
async function pausedQemu(machine: string): Promise<Qemu> {
  const folder = await mkdtemp(join(tmpdir(), "qmp-qemu-"));
  const socket = join(folder, "s");
  const observer = join(folder, "o");
  const rules = "hostfwd=tcp:127.0.0.1:0-:8080,hostfwd=tcp::0-:2222,hostfwd=udp:127.0.0.1:0-:53";
  const argv = ["-machine", machine, "-S", "-nodefaults", "-display", "none", "-uuid", uuid];
  const net = ["-netdev", `user,id=net0,${rules}`];
  const monitors = [socket, observer].flatMap((path) => ["-qmp", `unix:${path},server=on,wait=off`]);
  const child = spawn("qemu-system-x86_64", [...argv, ...net, ...monitors], { stdio: "ignore" });
  const exit = once(child, "exit").then(([status]: unknown[]) => status);
  return {
    socket,
    observer,
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

test("two monitors at once get every event in the same order, until QEMU's end", async () => {
  await using qemu = await pausedQemu("microvm");
  await using control = await connectSoon(qemu.socket);
  await using observer = await connectSoon(qemu.observer);
  const seen = [control, observer].map(async (monitor) => {
    const names: string[] = [];
    const reading = (async () => {
      for await (const event of monitor.events()) names.push(event.name);
    })();
    await expect(reading).rejects.toMatchObject({ code: "QmpIo" });
    return names;
  });

  await control.execute("cont");
  expect(await queryStatus(observer)).toEqual({ status: "running", running: true });
  await control.execute("stop");
  expect(await queryStatus(observer)).toEqual({ status: "paused", running: false });
  await systemPowerdown(observer);
  await quit(control);

  const all = ["RESUME", "STOP", "POWERDOWN", "SHUTDOWN"];
  expect(await Promise.all(seen)).toEqual([all, all]);
}, 60_000);

test("forwards of a running machine are added and removed; a taken port is PortInUse", async () => {
  await using qemu = await pausedQemu("microvm");
  await using qmp = await connectSoon(qemu.socket);
  await qmp.execute("cont");
  const before = await hostForwards(qmp);
  const rule = {
    netdev: "net0",
    hostAddress: "127.0.0.1",
    hostPort: 0,
    guestAddress: "10.0.2.15",
    guestPort: 9999,
  };

  await addHostForward(qmp, rule);
  const { hostPort } = (await hostForwards(qmp)).find(({ guestPort }) => guestPort === 9999)!;
  expect(hostPort).toBeGreaterThan(0);
  await expect(addHostForward(qmp, { ...rule, hostPort })).rejects.toMatchObject({ code: "PortInUse" });

  await removeHostForward(qmp, { ...rule, hostPort });
  expect(await hostForwards(qmp)).toEqual(before);
  await expect(removeHostForward(qmp, { ...rule, hostPort })).rejects.toMatchObject({
    code: "Qmp",
    message: expect.stringContaining("not found") as string,
  });

  // A rule without a host address listens on, and is removed by, 0.0.0.0.
  const everywhere = before.find(({ guestPort }) => guestPort === 2222)!;
  await removeHostForward(qmp, { netdev: "net0", ...everywhere });
  expect(await hostForwards(qmp)).toEqual(before.filter((forward) => forward !== everywhere));

  const server = createServer().listen(0, "127.0.0.1");
  try {
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await expect(addHostForward(qmp, { ...rule, hostPort: port })).rejects.toMatchObject({
      code: "PortInUse",
      message: `QEMU cannot listen on port ${port} of 127.0.0.1`,
    });
  } finally {
    server.close();
  }
  await expect(addHostForward(qmp, { ...rule, netdev: "net9" })).rejects.toMatchObject({
    code: "Qmp",
    message: expect.stringContaining("unrecognized netdev id 'net9'") as string,
  });
}, 60_000);
