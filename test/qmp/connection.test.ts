import { createConnection, type Socket } from "node:net";
import { QmpConnection } from "../../src/qmp/connection.js";
import { connectQmp, queryStatus, quit, systemPowerdown } from "../../src/qmp/index.js";
import { event, GREETING, listen, monitor, reply, type Request } from "./peer.js";

const containing = (text: string): string => expect.stringContaining(text) as string;

describe("connecting", () => {
  test("says when there is no socket, and when nobody listens", async () => {
    await expect(connectQmp("/nowhere/monitor")).rejects.toMatchObject({
      code: "QmpIo",
      message: containing("there is no socket"),
    });
    await expect(connectQmp(import.meta.filename)).rejects.toMatchObject({
      code: "QmpIo",
      message: containing("nobody listens"),
    });
  });

  test("tries the longest path there can be", async () => {
    await expect(connectQmp(`/tmp/${"x".repeat(98)}`)).rejects.toMatchObject({
      message: containing("no socket"),
    });
  });

  test.each(["", `/tmp/${"x".repeat(103)}`, `/tmp/${"é".repeat(52)}`])(
    "refuses the path %j",
    async (path) => {
      await expect(connectQmp(path)).rejects.toMatchObject({ code: "QmpIo", evidence: path });
    },
  );

  test("says that the monitor is busy when no greeting comes", async () => {
    await using peer = await listen(() => undefined);
    await expect(connectQmp(peer.path, { timeoutMs: 50 })).rejects.toMatchObject({
      code: "QmpIo",
      message: "no greeting within 50 ms: another client holds the monitor",
    });
  });

  test("bounds greeting and negotiation together", async () => {
    await using peer = await listen((socket) => socket.write(GREETING));
    await using connection = new QmpConnection(createConnection(peer.path), 60_000);
    await expect(connection.negotiate({ timeoutMs: 200 })).rejects.toMatchObject({
      code: "QmpIo",
      message: "QMP qmp_capabilities: no reply in time",
    });
  });

  test("takes events that come before the greeting", async () => {
    await using peer = await listen((socket) => {
      socket.write(event("RESUME"));
      monitor(() => undefined)(socket);
    });
    await using qmp = await connectQmp(peer.path);
    expect(qmp.version.package).toBe("Debian");
  });

  test.each([
    ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["an error without an id", '{"error": {"class": "GenericError", "desc": "JSON parse error"}}\n'],
  ])("fails at once on %s", async (_, line) => {
    await using peer = await listen((socket) => socket.write(line));
    await expect(connectQmp(peer.path)).rejects.toMatchObject({ code: "Qmp" });
  });

  test("fails at once when the peer hangs up", async () => {
    await using peer = await listen((socket) => socket.end());
    await expect(connectQmp(peer.path)).rejects.toMatchObject({ code: "QmpIo" });
  });

  test("stops on the signal, before and during", async () => {
    await using peer = await listen(() => undefined);
    await expect(connectQmp(peer.path, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "Cancelled",
    });
    const stop = new AbortController();
    const connecting = connectQmp(peer.path, { signal: stop.signal });
    stop.abort();
    await expect(connecting).rejects.toMatchObject({ code: "Cancelled" });
  });
});

describe("commands", () => {
  test.each(["", 0, false, null, []])("%j is a valid reply", async (value) => {
    await using peer = await listen(monitor((request, socket) => socket.write(reply(request, value))));
    await using qmp = await connectQmp(peer.path);
    expect(await qmp.execute("x")).toEqual(value);
  });

  test("replies find their command by id, whatever their order", async () => {
    const requests: Request[] = [];
    await using peer = await listen(
      monitor((request, socket) => {
        requests.unshift(request);
        if (requests.length === 3) for (const each of requests) socket.write(reply(each, each.execute));
      }),
    );
    await using qmp = await connectQmp(peer.path);
    expect(await Promise.all(["a", "b", "c"].map((name) => qmp.execute(name)))).toEqual(["a", "b", "c"]);
  });

  test("a refusal carries QEMU's class and text", async () => {
    await using peer = await listen(
      monitor(({ id }, socket) =>
        socket.write(`{"id": ${id}, "error": {"class": "GenericError", "desc": "no such"}}\n`),
      ),
    );
    await using qmp = await connectQmp(peer.path);
    await expect(qmp.execute("eject")).rejects.toMatchObject({
      code: "Qmp",
      message: "QMP eject was refused: GenericError: no such",
    });
  });

  test("a reply that comes too late is not taken for the next one's", async () => {
    let late: Request | undefined;
    await using peer = await listen(
      monitor((request, socket) => {
        if (late) socket.write(reply(late, "late") + reply(request, "own"));
        late = request;
      }),
    );
    await using qmp = await connectQmp(peer.path);
    await expect(qmp.execute("slow", {}, { timeoutMs: 20 })).rejects.toMatchObject({
      code: "QmpIo",
      message: "QMP slow: no reply in time",
    });
    expect(await qmp.execute("next")).toBe("own");
  });

  test("the signal stops one command and leaves the connection", async () => {
    await using peer = await listen(
      monitor((request, socket) => request.execute === "b" && socket.write(reply(request, 1))),
    );
    await using qmp = await connectQmp(peer.path);
    const stop = new AbortController();
    const waiting = qmp.execute("a", {}, { signal: stop.signal });
    stop.abort(new Error("why"));
    await expect(waiting).rejects.toMatchObject({ code: "Cancelled", cause: new Error("why") });
    expect(await qmp.execute("b")).toBe(1);
  });

  test("a reply of the wrong shape is an error", async () => {
    await using peer = await listen(monitor((request, socket) => socket.write(reply(request, "running"))));
    await using qmp = await connectQmp(peer.path);
    await expect(queryStatus(qmp)).rejects.toMatchObject({ code: "Qmp" });
  });
});

describe("the end of a connection", () => {
  test.each([
    ["EOF", (socket: Socket) => socket.end()],
    ["EOF in an unfinished line", (socket: Socket) => socket.end('{"return": {}')],
    ["a reset", (socket: Socket) => socket.destroy()],
  ])("%s rejects everything that waits", async (_, hangUp) => {
    await using peer = await listen(monitor((request, socket) => request.execute === "b" && hangUp(socket)));
    await using qmp = await connectQmp(peer.path);
    const waiting = [qmp.execute("a"), qmp.once("SHUTDOWN"), qmp.execute("b")];
    const results = await Promise.allSettled(waiting);
    expect(results).toEqual(
      Array(3).fill({ status: "rejected", reason: expect.objectContaining({ code: "QmpIo" }) as unknown }),
    );
    await qmp.closed;
    expect(qmp.ended).toBe(true);
    await expect(qmp.execute("c")).rejects.toMatchObject({ code: "QmpIo" });
  });

  test("an unfinished line delays nothing but its own reply", async () => {
    await using peer = await listen(monitor((_, socket) => socket.write('{"return": ')));
    await using qmp = await connectQmp(peer.path, { timeoutMs: 30 });
    await expect(qmp.execute("a")).rejects.toMatchObject({ code: "QmpIo" });
  });

  test("a reply of ten megabytes is taken", async () => {
    const big = "x".repeat(10 * 1024 * 1024);
    await using peer = await listen(monitor((request, socket) => socket.write(reply(request, big))));
    await using qmp = await connectQmp(peer.path);
    expect(await qmp.execute("a")).toHaveLength(big.length);
  });

  test("an awaited event that does not come is an error; one that nobody awaits harms nothing", async () => {
    await using peer = await listen(monitor(() => undefined));
    await using qmp = await connectQmp(peer.path);
    void qmp.once("STOP", { timeoutMs: 1 });
    await expect(qmp.once("STOP", { timeoutMs: 20 })).rejects.toMatchObject({ code: "QmpIo" });
  });
});

describe("quit", () => {
  test.each([
    ["its reply", (request: Request) => reply(request, {})],
    ["the SHUTDOWN event alone", () => event("SHUTDOWN", { guest: false, reason: "host-qmp-quit" })],
    ["EOF alone", () => undefined],
  ])("succeeds by %s", async (_, last) => {
    await using peer = await listen(
      monitor((request, socket) => {
        const text = last(request);
        if (text === undefined) socket.destroy();
        else socket.write(text);
      }),
    );
    await using qmp = await connectQmp(peer.path);
    await quit(qmp);
  });

  test("fails on a connection that was over before, and when refused", async () => {
    await using peer = await listen(
      monitor(({ id }, socket) =>
        socket.write(`{"id": ${id}, "error": {"class": "GenericError", "desc": "no"}}\n`),
      ),
    );
    const qmp = await connectQmp(peer.path);
    await expect(quit(qmp)).rejects.toMatchObject({ code: "Qmp" });
    await qmp.close();
    await expect(quit(qmp)).rejects.toMatchObject({ code: "QmpIo" });
    await expect(systemPowerdown(qmp)).rejects.toMatchObject({ code: "QmpIo" });
  });
});
