import { getEventListeners } from "node:events";
import { createConnection } from "node:net";
import { QmpConnection } from "../../src/qmp/connection.js";
import { MAX_UNREAD } from "../../src/qmp/events.js";
import { connectQmp, type QmpEvent } from "../../src/qmp/index.js";
import { event, listen, monitor, reply, type Request } from "./peer.js";

/** A peer that sends the events that a command asks for in `arguments.names`, and its reply in the same write. */
const teller = monitor((request, socket) => {
  const { names } = request.arguments as { names: string[] };
  socket.write(names.map((name) => event(name)).join("") + reply(request, names.length));
});

const matching = (words: RegExp): string => expect.stringMatching(words) as string;

async function collect(events: AsyncIterable<QmpEvent>, names: string[] = []): Promise<string[]> {
  for await (const { name } of events) names.push(name);
  return names;
}

/** Everything that the connection still tells. */
const listenersOf = (qmp: QmpConnection): number =>
  (qmp as unknown as { listeners: Set<unknown> }).listeners.size;

test("every event from the call on is read in order, however many come in one read", async () => {
  await using peer = await listen(teller);
  await using qmp = await connectQmp(peer.path);
  const names = Array.from({ length: 2000 }, (_, index) => `E${index}`);
  await qmp.execute("tell", { names: ["BEFORE"] });
  const events = qmp.events();
  const onlyLast = qmp.events({ name: "E1999" });
  expect(await qmp.execute("tell", { names })).toBe(2000);
  await qmp.close();
  expect(await collect(events)).toEqual(names);
  expect(await collect(onlyLast)).toEqual(["E1999"]);
});

test("events before the greeting are read too", async () => {
  await using peer = await listen((socket) => {
    socket.write(event("EARLY"));
    teller(socket);
  });
  await using qmp = new QmpConnection(createConnection(peer.path), 5000);
  const events = qmp.events();
  await qmp.negotiate({});
  expect(await events.next()).toMatchObject({ value: { name: "EARLY", data: {} }, done: false });
});

test("reads that wait get the events in order, then the end", async () => {
  await using peer = await listen(teller);
  await using qmp = await connectQmp(peer.path);
  const events = qmp.events();
  const reads = [events.next(), events.next(), events.next(), events.next()];
  await qmp.execute("tell", { names: ["A", "B"] });
  await qmp.close();
  expect(await Promise.all(reads)).toMatchObject([
    { value: { name: "A" }, done: false },
    { value: { name: "B" }, done: false },
    { value: undefined, done: true },
    { value: undefined, done: true },
  ]);
});

test("what ends the connection is thrown once, after the events from before", async () => {
  await using peer = await listen(
    monitor((_, socket) => socket.end(event("SHUTDOWN", { guest: true, reason: "guest-shutdown" }))),
  );
  await using qmp = await connectQmp(peer.path);
  const events = qmp.events();
  await expect(qmp.execute("x")).rejects.toMatchObject({ code: "QmpIo" });
  const shutdown = { name: "SHUTDOWN", data: { guest: true, reason: "guest-shutdown" } };
  expect(await events.next()).toMatchObject({ value: shutdown });
  await expect(events.next()).rejects.toMatchObject({
    code: "QmpIo",
    message: matching(/closed the connection/),
  });
  expect(await events.next()).toEqual({ value: undefined, done: true });
  await expect(collect(qmp.events())).rejects.toMatchObject({ code: "QmpIo" });
});

test("on a connection that was closed there are none", async () => {
  await using peer = await listen(teller);
  const qmp = await connectQmp(peer.path);
  await qmp.close();
  await qmp.close();
  expect(await collect(qmp.events())).toEqual([]);
});

test("break, return and the signal leave no listener behind", async () => {
  await using peer = await listen(teller);
  await using qmp = await connectQmp(peer.path);
  const stop = new AbortController();

  const left = qmp.events({ signal: stop.signal });
  const told = qmp.execute("tell", { names: ["A", "B"] });
  for await (const { name } of left) {
    expect(name).toBe("A");
    break;
  }
  expect(await left.next()).toEqual({ value: undefined, done: true });
  await told;

  const returned = qmp.events({ signal: stop.signal });
  const waiting = returned.next();
  await returned.return?.();
  expect(await waiting).toEqual({ value: undefined, done: true });

  const unread = qmp.events({ signal: stop.signal });
  await qmp.execute("tell", { names: ["A"] });
  expect(await unread.return?.()).toEqual({ value: undefined, done: true });
  expect(getEventListeners(stop.signal, "abort")).toHaveLength(0);
  expect(listenersOf(qmp)).toBe(0);

  const stopped = qmp.events({ signal: stop.signal });
  await qmp.execute("tell", { names: ["C"] });
  stop.abort(new Error("why"));
  const names: string[] = [];
  const cancelled = { code: "Cancelled", cause: new Error("why") };
  await expect(collect(stopped, names)).rejects.toMatchObject(cancelled);
  expect(names).toEqual(["C"]);
  await expect(collect(qmp.events({ signal: stop.signal }))).rejects.toMatchObject(cancelled);
  expect(getEventListeners(stop.signal, "abort")).toHaveLength(0);
  expect(listenersOf(qmp)).toBe(0);
});

test("what is read makes room", async () => {
  await using peer = await listen(teller);
  await using qmp = await connectQmp(peer.path);
  const events = qmp.events();
  // Three of these are beyond the bound.
  const big = "x".repeat(MAX_UNREAD / 2);
  for (let round = 0; round < 4; round++) {
    await qmp.execute("tell", { names: [big] });
    expect(await events.next()).toMatchObject({ value: { name: big } });
  }
});

test("a flood that nobody reads ends the iterator at its bound, and nothing else", async () => {
  const flood = event("FLOOD").repeat(1000);
  await using peer = await listen(
    monitor((request: Request, socket) => {
      for (let sent = 0; sent < 4 * MAX_UNREAD; sent += flood.length) socket.write(flood);
      socket.write(event("LAST") + reply(request, "done"));
    }),
  );
  await using qmp = await connectQmp(peer.path);
  const unread = qmp.events();
  const last = qmp.events({ name: "LAST" });
  expect(await qmp.execute("x", {}, { timeoutMs: 60_000 })).toBe("done");

  const names: string[] = [];
  await expect(collect(unread, names)).rejects.toMatchObject({ code: "Qmp", message: matching(/not read/) });
  const line = event("FLOOD").length - 1;
  expect(names).toHaveLength(Math.ceil(MAX_UNREAD / line));
  expect(await last.next()).toMatchObject({ value: { name: "LAST" } });
  await last.return?.();
  expect(listenersOf(qmp)).toBe(0);
});
