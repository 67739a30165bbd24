import fc from "fast-check";
import type { Socket } from "node:net";
import { connectQmp, hostForwards, queryStatus } from "../../src/qmp/index.js";
import { event, listen, monitor, reply } from "./peer.js";

const matching = (words: RegExp): string => expect.stringMatching(words) as string;

/** Writes the block for ever, as fast as it is taken. */
function pour(socket: Socket, block: string): void {
  const more = (): void => {
    while (socket.writable && socket.write(block));
  };
  socket.on("drain", more);
  more();
}

test("an endless line is cut off", async () => {
  await using peer = await listen(monitor((_, socket) => pour(socket, "x".repeat(1 << 20))));
  await using qmp = await connectQmp(peer.path);
  await expect(qmp.execute("a")).rejects.toMatchObject({ code: "Qmp", message: matching(/line/) });
});

test("endless events do not put off a deadline, before the greeting or after", async () => {
  const block = event("FLOOD").repeat(100);
  await using ungreeted = await listen((socket) => pour(socket, block));
  await expect(connectQmp(ungreeted.path, { timeoutMs: 50 })).rejects.toMatchObject({ code: "QmpIo" });

  await using peer = await listen(monitor((_, socket) => pour(socket, block)));
  await using qmp = await connectQmp(peer.path);
  await expect(qmp.execute("a", {}, { timeoutMs: 50 })).rejects.toMatchObject({ code: "QmpIo" });
});

test("replies that nobody waits for are dropped", async () => {
  const strange = ["7", '"1"', "null", "{}", "[2]", "2.5", "-2"].flatMap((id) => [
    `{"return": "strange", "id": ${id}}\n`,
    `{"error": {"class": "GenericError", "desc": "strange"}, "id": ${id}}\n`,
  ]);
  await using peer = await listen(
    monitor((request, socket) =>
      socket.write(`${strange.join("")}{"return": "strange"}\n${reply(request, "own")}`),
    ),
  );
  await using qmp = await connectQmp(peer.path);
  expect(await qmp.execute("a")).toBe("own");
});

test("garbage after the greeting rejects everything that waits", async () => {
  await using peer = await listen(monitor((_, socket) => socket.write(Buffer.from([0xff, 0, 0x7b, 0x0a]))));
  await using qmp = await connectQmp(peer.path);
  const results = await Promise.allSettled([qmp.once("STOP"), qmp.events().next(), qmp.execute("a")]);
  for (const result of results) expect(result).toMatchObject({ status: "rejected", reason: { code: "Qmp" } });
});

test("a reply nested deeper than the stack is an odd reply", async () => {
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  await using peer = await listen(
    monitor(({ id }, socket) => socket.write(`{"return": ${deep}, "id": ${id}}\n`)),
  );
  await using qmp = await connectQmp(peer.path);
  await expect(queryStatus(qmp)).rejects.toMatchObject({
    code: "Qmp",
    message: matching(/unexpected reply/),
  });
  await expect(hostForwards(qmp)).rejects.toMatchObject({ code: "Qmp" });
});

test("whatever comes, every wait ends with a value or an error of ours", async () => {
  const json = fc.json().map((text) => `${text}\n`);
  const message = fc
    .record(
      { event: fc.jsonValue(), data: fc.jsonValue(), return: fc.jsonValue(), id: fc.constant(2) },
      { requiredKeys: [] },
    )
    .map((fields) => `${JSON.stringify(fields)}\n`);
  const bytes = fc.uint8Array({ maxLength: 100 }).map((array) => Buffer.from(array));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(bytes, json, message)), async (chunks) => {
      await using peer = await listen(
        monitor((_, socket) => {
          for (const chunk of chunks) socket.write(chunk);
          socket.end();
        }),
      );
      await using qmp = await connectQmp(peer.path);
      const events = qmp.events();
      const waits = [
        queryStatus(qmp),
        qmp.once("X"),
        (async () => {
          for await (const { name } of events) expect(typeof name).toBe("string");
        })(),
      ];
      for (const result of await Promise.allSettled(waits)) {
        if (result.status === "rejected") expect(result.reason).toMatchObject({ code: matching(/^Qmp/) });
      }
    }),
    { numRuns: 200 },
  );
}, 60_000);
