import { once } from "node:events";
import { copyFile, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { jest } from "@jest/globals";
import { RvfDatabase } from "@ruvector/rvf-node";
import { execa } from "execa";
import { query } from "../../src/client/index.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { expectNeighbours } from "../support/rvf.js";
import { initBinary, startInit, startRvfServer, type Server } from "./servers.js";

// The first run on a machine compiles the server.
jest.setTimeout(600_000);

const DIMENSION = 16;
/** Below 1,024, where rvf-server would answer from an approximate index. */
const COUNT = 1000;

let dir: string;
let store: string;
let ours: Server;
let theirs: Server;
/** Sends a body so slowly that it takes for ever. */
let slow: Promise<string>;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "microvm-http-"));
  store = join(dir, "store.rvf");
  const db = RvfDatabase.create(store, { dimension: DIMENSION });
  const vectors = Float32Array.from({ length: COUNT * DIMENSION }, (_, index) => Math.sin(index * index));
  db.ingestBatch(
    vectors,
    Array.from({ length: COUNT }, (_, index) => index + 1),
  );
  db.close();
  // rvf-server opens its file for writing.
  await copyFile(store, join(dir, "theirs.rvf"));
  theirs = await startRvfServer(join(dir, "theirs.rvf"));
  ours = await startInit(store);
  slow = text(
    send("POST /query HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"),
  );
});

afterAll(async () => {
  await theirs?.stop();
  await ours?.stop();
  await rm(dir, { recursive: true, force: true });
});

const vector = Array.from({ length: DIMENSION }, (_, index) => Math.cos(index));

interface Reply {
  status: number;
  body: unknown;
}

async function get({ url }: Server, path: string): Promise<Reply> {
  const response = await fetch(url + path);
  return { status: response.status, body: await response.json() };
}

async function post({ url }: Server, path: string, body: unknown, type = "application/json"): Promise<Reply> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(url + path, { method: "POST", body: text, headers: { "content-type": type } });
  const reply = await response.text();
  return { status: response.status, body: isJson(response) ? (JSON.parse(reply) as unknown) : reply };
}

/** A connection on which this was written, and no more. */
function send(words: string): Socket {
  const socket = connect(Number(new URL(ours.url).port), "127.0.0.1");
  socket.on("error", () => undefined).write(words);
  return socket;
}

const isJson = (response: Response): boolean =>
  response.headers.get("content-type")?.startsWith("application/json") ?? false;

describe("answers as rvf-server does", () => {
  test("GET /v1/health", async () => {
    expect(await get(ours, "/v1/health")).toEqual(await get(theirs, "/v1/health"));
  });

  test("GET /v1/status, but for being read-only", async () => {
    const [mine, other] = [await get(ours, "/v1/status"), await get(theirs, "/v1/status")];
    expect(mine.status).toBe(other.status);
    expect(mine.body).toEqual({ ...(other.body as object), read_only: true });
    expect(mine.body).toMatchObject({ total_vectors: COUNT, file_size: (await stat(store)).size });
  });

  test.each([
    ["one", { vector, k: 1 }],
    ["ten", { vector, k: 10 }],
    ["all there are", { vector, k: COUNT + 5 }],
    ["with ef_search", { vector, k: 3, ef_search: 200 }],
    ["k of 0", { vector, k: 0 }],
  ])("POST /v1/query: %s", async (_, query) => {
    expect(await post(ours, "/v1/query", query)).toEqual(await post(theirs, "/v1/query", query));
  });

  test.each([
    ["too few dimensions", [1, 2]],
    ["no vector", []],
  ])(
    "POST /v1/query: %s, in the status and the format's code; the body says both numbers",
    async (_, few) => {
      const [mine, other] = [
        await post(ours, "/v1/query", { vector: few, k: 3 }),
        await post(theirs, "/v1/query", { vector: few, k: 3 }),
      ];
      const error = `the query has ${few.length} numbers, the store's vectors have ${DIMENSION}`;
      expect(mine).toEqual({ ...other, body: { ...(other.body as object), error } });
    },
  );

  test.each([
    ["broken JSON", '{"vector":', "application/json"],
    ["no body", "", "application/json"],
    ["NaN", '{"vector":[NaN],"k":1}', "application/json"],
    ["no k", '{"vector":[1]}', "application/json"],
    ["k below 0", '{"vector":[1],"k":-1}', "application/json"],
    ["another media type", '{"vector":[1],"k":1}', "text/plain"],
    ["3 MB", "x".repeat(3_000_000), "application/json"],
  ])("POST /v1/query: %s, in the status; the body says it in JSON", async (_, text, type) => {
    const mine = await post(ours, "/v1/query", text, type);
    expect(mine.status).toBe((await post(theirs, "/v1/query", text, type)).status);
    expect(mine.body).toEqual({ error: expect.any(String) as string, code: mine.status });
  });
});

test.each(["application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"])(
  "a query may be %s, as with rvf-server",
  async (type) => {
    const [mine, other] = await Promise.all(
      [ours, theirs].map((server) => post(server, "/v1/query", JSON.stringify({ vector, k: 2 }), type)),
    );
    expect(mine).toEqual(other);
    expect(mine!.status).toBe(200);
  },
);

describe("answers as rvf-launch asks", () => {
  test("POST /query gives the bare list of what /v1/query wraps", async () => {
    const { body } = await post(ours, "/v1/query", { vector, k: 5 });
    expect({ results: (await post(ours, "/query", { vector, k: 5 })).body }).toEqual(body);
  });

  test("GET /health", async () => {
    expect(await get(ours, "/health")).toEqual({ status: 200, body: { status: "ok" } });
  });
});

test.each(["l2", "inner_product", "cosine"])(
  "%s: the nearest are those of the library that wrote the store, without the deleted ones",
  async (metric) => {
    const file = join(dir, `${metric}.rvf`);
    const db = RvfDatabase.create(file, { dimension: DIMENSION, metric });
    for (const start of [0, 400]) {
      const ids = Array.from({ length: 400 }, (_, index) => start + index + 1);
      db.ingestBatch(
        Float32Array.from(ids.flatMap((id) => vector.map((_, at) => Math.sin(id * (at + id))))),
        ids,
      );
    }
    const [nearest] = db.query(Float32Array.from(vector), 1);
    const deleted = [nearest!.id, 2, 3, 500, 799];
    db.delete(deleted);
    const expected = db.query(Float32Array.from(vector), 50);
    db.close();
    await using server = await startInit(file);
    const { body } = await post(server, "/query", { vector, k: 50 });
    const hits = (body as { id: number; distance: number }[]).map(({ id, distance }) => {
      return { id, distance: Math.fround(distance) };
    });
    expect(hits).toEqual(expected);
    expect(deleted).not.toContain(hits[0]!.id);
    expect((await get(server, "/v1/status")).body).toMatchObject({ total_vectors: 795 });
  },
);

test("the first query of a large store without an index is answered by a scan", async () => {
  const large = join(dir, "large.rvf");
  await makeSampleRvf(large, { count: 20_000, dimension: 128 });
  const vector = sampleQuery(1, 128);
  await using server = await startInit(large);
  // An index of it takes the library minutes to build.
  const answer = await query(server.url, vector, 10, { timeoutMs: 20_000 });
  expectNeighbours(answer, neighboursOnHost(large, vector, 10));
});

test.each([
  ["/v1/ingest", { vectors: [vector], ids: [1] }],
  ["/v1/delete", { ids: [1] }],
])("POST %s is refused: the store is read-only", async (path, body) => {
  const readOnly = 0x0305;
  expect(await post(ours, path, body)).toEqual({
    status: 403,
    body: { error: "Code(ReadOnly)", code: readOnly },
  });
  expect((await get(ours, "/v1/status")).body).toMatchObject({ total_vectors: COUNT, current_epoch: 1 });
});

test.each([
  ["numbers beyond a float", { vector: Array<number>(DIMENSION).fill(1e39), k: 1 }],
  ["distances beyond a float", { vector: Array<number>(DIMENSION).fill(3e38), k: 1 }],
  ["more than 10,000 neighbours", { vector, k: 10_001 }],
])("%s are the client's fault", async (_, query) => {
  expect((await post(ours, "/v1/query", query)).status).toBe(400);
});

test("unknown paths and methods are told in JSON", async () => {
  expect((await get(ours, "/")).status).toBe(404);
  expect((await get(ours, "/api/status")).status).toBe(404);
  expect((await get(ours, "/v1/query")).status).toBe(405);
  expect((await post(ours, "/v1/health", {})).status).toBe(405);
});

test.each([
  ["/v1/query", "GET"],
  ["/v1/health", "POST"],
])("%s says which methods it takes, as rvf-server does", async (path, method) => {
  const [mine, other] = await Promise.all([ours, theirs].map(({ url }) => fetch(url + path, { method })));
  expect(mine!.headers.get("allow")).toBe(other!.headers.get("allow"));
});

test("HEAD gets the head of what GET gets", async () => {
  const words = await text(send("HEAD /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
  expect(words).toMatch(/^HTTP\/1.1 200 OK\r\n.*content-length: 15\r\n.*\r\n\r\n$/s);
});

test("many at once are all answered, and alike", async () => {
  const one = await post(ours, "/v1/query", { vector, k: 10 });
  const all = await Promise.all(Array.from({ length: 64 }, () => post(ours, "/v1/query", { vector, k: 10 })));
  expect(all).toEqual(Array(64).fill(one));
});

describe("whoever takes too much is sent away, and nobody else waits for it", () => {
  test("a head of 20 KB, or of 200 lines", async () => {
    for (const headers of [`x: ${"y".repeat(20_000)}\r\n`, "x: y\r\n".repeat(200)])
      expect(await text(send(`GET /health HTTP/1.1\r\n${headers}\r\n`))).toMatch(/^HTTP\/1.1 431 /);
  });

  test("600 clients that hold their connections and send nothing, or half a request", async () => {
    const holders = Array.from({ length: 600 }, (_, index) => send(index % 2 === 0 ? "" : "GET /heal"));
    await Promise.all(holders.map((socket) => once(socket, "connect")));
    const client = send("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    expect(await text(client)).toMatch(/^HTTP\/1.1 200 /);
    for (const socket of holders) socket.destroy();
  });

  test("one that does not send its request to the end", async () => {
    expect(await slow).toMatch(/^HTTP\/1.1 408 .*took too long/s);
  });
});

describe("as a program", () => {
  test("SIGTERM ends it with 0 even while a client has not finished its request", async () => {
    await using server = await startInit(store);
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.write("POST /query HTTP/1.1\r\ncontent-le", resolve));
    expect(await server.stop()).toBe(0);
    socket.destroy();
  });

  test.each([
    ["a file that is not there", "missing.rvf", "no store"],
    ["a file that is no RVF", "garbage.rvf", "no readable RVF"],
  ])("%s ends it with a reason", async (_, name, words) => {
    await writeFile(join(dir, "garbage.rvf"), Buffer.alloc(512, 0x5a));
    const args = ["--serve", join(dir, name), "--listen", "127.0.0.1:0"];
    const { exitCode, stderr } = await execa(await initBinary(), args, { reject: false, timeout: 20_000 });
    expect(exitCode).toBe(1);
    expect(stderr).toContain(words);
  });

  test("it does not mind a stderr that takes nothing", async () => {
    const { exitCode } = await execa("sh", ["-c", '"$0" 2>/dev/full', await initBinary()], { reject: false });
    expect(exitCode).toBe(1);
  });
});
