import { execa } from "execa";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { query } from "../../src/client/index.js";
import { deadUrl, guest, tcpGuest, type Guest } from "./guest.js";

const found = [
  { id: 7, distance: 0 },
  { id: 3, distance: 0.25 },
];
const V1 = "POST /v1/query";
const SEED = "POST /query";
const GIBBERISH = { code: "GuestHttp", message: expect.stringContaining("unexpected reply") as string };

test("asks in rvf-server's dialect", async () => {
  await using server = await guest({ [V1]: JSON.stringify({ results: found }) });
  expect(await query(server.url, new Float32Array([1, 0.5]), 2)).toEqual(found);
  expect(server.seen).toEqual([`${V1} {"vector":[1,0.5],"k":2}`]);
});

test.each([404, 405])("asks in the unversioned dialect after a %d", async (status) => {
  await using server = await guest({ [V1]: [status, ""], [SEED]: JSON.stringify(found) });
  expect(await query(server.url, [1], 2)).toEqual(found);
  expect(server.seen).toEqual([`${V1} {"vector":[1],"k":2}`, `${SEED} {"vector":[1],"k":2}`]);
});

test("a refusal carries the status and the guest's own text", async () => {
  await using server = await guest({ [V1]: [400, '{"error":"DimensionMismatch","code":512}'] });
  await expect(query(server.url, [1], 1)).rejects.toMatchObject({
    code: "GuestHttp",
    message: "POST /v1/query: 400 DimensionMismatch",
  });
  expect(server.seen).toHaveLength(1);
});

test("of two refusals the one that says most is told", async () => {
  await using neither = await guest({ [V1]: [404, "no such store"], [SEED]: [405, ""] });
  await expect(query(neither.url, [1], 1)).rejects.toMatchObject({
    message: "POST /v1/query: 404 no such store",
  });
  await using older = await guest({ [SEED]: [422, "bad\u001b[2Jvector"] });
  await expect(query(older.url, [1], 1)).rejects.toMatchObject({ message: "POST /query: 422 bad [2Jvector" });
});

test.each([
  ["HTML", "<html></html>"],
  ["nothing", ""],
  ["the other dialect's shape", JSON.stringify(found)],
  ["a missing distance", '{"results":[{"id":1}]}'],
  ["a distance that is no number", '{"results":[{"id":1,"distance":null}]}'],
  ["a fraction as id", '{"results":[{"id":1.5,"distance":0}]}'],
  ["an id that JavaScript would round", '{"results":[{"id":9007199254740993,"distance":0}]}'],
  ["the largest 64-bit id", '{"results":[{"id":18446744073709551615,"distance":0}]}'],
])("%s is an error", async (_, body) => {
  await using server = await guest({ [V1]: body });
  await expect(query(server.url, [1], 1)).rejects.toMatchObject(GIBBERISH);
});

test("the largest id that JavaScript holds exactly is passed on", async () => {
  await using server = await guest({ [V1]: '{"results":[{"id":9007199254740991,"distance":1e-3}]}' });
  expect(await query(server.url, [1], 1)).toEqual([{ id: Number.MAX_SAFE_INTEGER, distance: 0.001 }]);
});

test.each<[string, ArrayLike<number>, number]>([
  ["empty", [], 1],
  ["vector[1] is NaN", [1, NaN], 1],
  ["vector[0] is Infinity", [Infinity], 1],
  ["vector[0] is 1e+39", [1e39], 1],
  ["vector[0] is 1", "123" as unknown as number[], 1],
  ["empty", undefined as unknown as number[], 1],
  ["k is 0", [1], 0],
  ["k is -1", [1], -1],
  ["k is 1.5", [1], 1.5],
  ["k is NaN", [1], NaN],
])("refuses before sending: %s", async (words, vector, k) => {
  await expect(query("http://127.0.0.1:1", vector, k)).rejects.toMatchObject({
    code: "InvalidArgument",
    message: expect.stringContaining(words) as string,
  });
});

test("tries once more after a refused connection", async () => {
  const url = await deadUrl();
  const routes = { [V1]: JSON.stringify({ results: found }) };
  let server: Promise<Guest> | undefined;
  // The server comes up on the first refusal, before any timer can fire.
  const onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    socket.once("error", () => {
      server ??= guest(routes, { port: Number(new URL(url).port) });
    });
  };
  subscribe("net.client.socket", onSocket);
  try {
    expect(await query(url, [1], 2)).toEqual(found);
    expect((await server)?.seen).toHaveLength(1);
  } finally {
    unsubscribe("net.client.socket", onSocket);
    await (await server)?.[Symbol.asyncDispose]();
  }
});

test.each<[string, (socket: Socket) => void, number]>([
  ["closed without a reply", (socket) => socket.once("data", () => socket.end()), 2],
  ["reset before the request was read", (socket) => socket.resetAndDestroy(), 2],
  ["closed within a reply", (socket) => socket.once("data", () => socket.end("HTTP/1.1 200 ")), 1],
])("of a connection that was %s it makes the most", async (_, end, attempts) => {
  let connections = 0;
  await using peer = await tcpGuest((socket) => {
    connections++;
    end(socket);
  });
  await expect(query(peer.url, [1], 1)).rejects.toMatchObject({ code: "GuestHttp" });
  expect(connections).toBe(attempts);
});

test("says so when nobody listens", async () => {
  await expect(query(await deadUrl(), [1], 1)).rejects.toMatchObject({
    code: "GuestHttp",
    message: expect.stringContaining("connection refused") as string,
  });
});

test("gives up on a guest that stays silent, and on the signal", async () => {
  await using peer = await tcpGuest(() => undefined);
  await expect(query(peer.url, [1], 1, { timeoutMs: 50 })).rejects.toMatchObject({ code: "Timeout" });
  const stop = new AbortController();
  const asking = query(peer.url, [1], 1, { signal: stop.signal });
  stop.abort();
  await expect(asking).rejects.toMatchObject({ code: "Cancelled" });
});

test("leaves nothing behind that keeps the process alive", async () => {
  await using server = await guest({ [V1]: JSON.stringify({ results: found }) });
  const program = `
    import { query } from "./src/client/index.ts";
    await query(process.argv[1], [1], 2);
    setTimeout(() => process.exit(3), 2000).unref();
  `;
  await execa(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program, server.url], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    timeout: 60_000,
  });
}, 60_000);
