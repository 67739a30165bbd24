import type { Socket } from "node:net";
import { probeHealth } from "../../src/client/index.js";
import { deadUrl, guest, tcpGuest, type Answer, type Guest } from "./guest.js";

const OK = '{"status":"ok"}';

test.each<[string, Record<string, Answer>, Answer, { answers: boolean; healthy: boolean }]>([
  ["rvf-server's health", { "GET /v1/health": OK }, [404, ""], { answers: true, healthy: true }],
  [
    "health with more fields",
    { "GET /v1/health": '{"status":"ok","n":1}' },
    [404, ""],
    { answers: true, healthy: true },
  ],
  ["the unversioned health", { "GET /health": OK }, [404, ""], { answers: true, healthy: true }],
  ["the unversioned health by 405", { "GET /health": OK }, [405, ""], { answers: true, healthy: true }],
  ["no health endpoint", {}, [404, "not found"], { answers: true, healthy: false }],
  ["a page for every path", {}, "<html>ok</html>", { answers: true, healthy: false }],
  [
    "another status word",
    { "GET /v1/health": '{"status":"starting"}' },
    [404, ""],
    { answers: true, healthy: false },
  ],
  ["JSON null", {}, "null", { answers: true, healthy: false }],
  ["ok in a 201", {}, [201, OK], { answers: true, healthy: false }],
  ["a 503", { "GET /v1/health": [503, "starting"] }, [404, ""], { answers: false, healthy: false }],
  ["a 500 on the second path", { "GET /health": [500, ""] }, [404, ""], { answers: false, healthy: false }],
  ["a body without bounds", {}, "x".repeat(200_000), { answers: true, healthy: false }],
])("%s", async (_, routes, fallback, expected) => {
  await using server = await guest(routes, { fallback });
  expect(await probeHealth(server.url)).toMatchObject(expected);
});

test("says in one line what it saw", async () => {
  await using server = await guest({ "GET /v1/health": [503, "not\nyet\u001b[31m"] });
  expect(await probeHealth(server.url)).toMatchObject({
    replied: true,
    detail: "GET /v1/health: 503 not yet [31m",
  });
  expect(await probeHealth(await deadUrl())).toMatchObject({
    replied: false,
    detail: expect.stringMatching(/^GET http:.*: connection refused$/) as string,
  });
});

test("keeps the base URL's own path", async () => {
  await using server = await guest({ "GET /db/v1/health": OK });
  expect(await probeHealth(`${server.url}/db/`)).toMatchObject({ healthy: true });
});

test("works on ports that fetch refuses", async () => {
  const free = async (ports: number[]): Promise<Guest> => {
    const [port, ...others] = ports;
    return guest({}, { fallback: OK, port: port! }).catch((error: unknown) => {
      if (others.length === 0) throw error;
      return free(others);
    });
  };
  await using server = await free([10080, 6666, 6667, 6668, 6669, 6697]);
  await expect(fetch(server.url)).rejects.toThrow("fetch failed");
  expect(await probeHealth(server.url)).toMatchObject({ healthy: true });
});

test("follows no redirect", async () => {
  await using elsewhere = await guest({}, { fallback: OK });
  await using server = await guest({}, { fallback: [302, "", { location: `${elsewhere.url}/v1/health` }] });
  expect(await probeHealth(server.url)).toMatchObject({ answers: true, healthy: false });
  expect(elsewhere.seen).toEqual([]);
});

test.each([
  ["connects and hangs up", (socket: Socket) => socket.end()],
  ["speaks first and no HTTP", (socket: Socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n")],
  ["breaks off its head", (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\nconte")],
  ["breaks off its body", (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}")],
])("a peer that %s does not answer", async (_, act) => {
  await using peer = await tcpGuest(act);
  expect(await probeHealth(peer.url)).toMatchObject({ answers: false, healthy: false });
});

test("a peer that accepts and stays silent does not answer, within the time given", async () => {
  await using peer = await tcpGuest(() => undefined);
  const { answers, detail } = await probeHealth(peer.url, { timeoutMs: 50 });
  expect(answers).toBe(false);
  // What of the time is left when it asks, which is all of it only on a host with nothing else to do.
  expect(detail).toMatch(/no complete reply within [1-5]?\d ms$/);
});

test("a body that trickles for ever does not answer, within the time given", async () => {
  let timer: NodeJS.Timeout | undefined;
  await using peer = await guest({
    "GET /v1/health": (response) => {
      response.writeHead(200);
      timer = setInterval(() => response.write("x"), 5);
    },
  });
  const health = await probeHealth(peer.url, { timeoutMs: 100 });
  clearInterval(timer);
  expect(health).toMatchObject({
    answers: false,
    detail: expect.stringContaining("no complete reply") as string,
  });
});

test("the signal ends it, before and during", async () => {
  await using peer = await tcpGuest(() => undefined);
  await expect(probeHealth(peer.url, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: "Cancelled",
  });
  const stop = new AbortController();
  const probing = probeHealth(peer.url, { signal: stop.signal, timeoutMs: 60_000 });
  stop.abort();
  await expect(probing).rejects.toMatchObject({ code: "Cancelled" });
});

test.each(["", "127.0.0.1:8080", "ftp://127.0.0.1", "file:///etc/passwd"])(
  "%j is no base URL",
  async (url) => {
    await expect(probeHealth(url)).rejects.toMatchObject({ code: "InvalidArgument" });
  },
);
