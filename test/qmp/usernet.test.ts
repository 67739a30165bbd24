import fc from "fast-check";
import { addHostForward, connectQmp, hostForwards, removeHostForward } from "../../src/qmp/index.js";
import { parseGuestConnections, parseHostForwards } from "../../src/qmp/usernet.js";
import { listen, monitor, reply } from "./peer.js";

// From QEMU 7.2 with three rules, one of them without a host address, and an open connection.
const text = [
  "Hub -1 (net0):",
  "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ",
  "  TCP[ESTABLISHED]   15       127.0.0.1 42999       10.0.2.15  8080     0     0",
  "  TCP[HOST_FORWARD]  11       127.0.0.1 42999       10.0.2.15  8080     0     0",
  "  TCP[HOST_FORWARD]   9               * 40349       10.0.2.15  2222     0     0",
  "  UDP[HOST_FORWARD]   8       127.0.0.1 51885       10.0.2.15    53     0     0",
  "",
].join("\r\n");

test("the TCP rules are taken, connections and UDP rules left", () => {
  expect(parseHostForwards(text)).toEqual([
    { hostAddress: "127.0.0.1", hostPort: 42999, guestAddress: "10.0.2.15", guestPort: 8080 },
    { hostAddress: "0.0.0.0", hostPort: 40349, guestAddress: "10.0.2.15", guestPort: 2222 },
  ]);
});

test("the TCP connections are taken, each with what it has not delivered", () => {
  const slow = "  TCP[CLOSE_WAIT]   211       127.0.0.1 42999       10.0.2.15  8080 65160     0\r\n";
  expect(parseGuestConnections(text + slow)).toEqual([
    { state: "ESTABLISHED", undelivered: 0 },
    { state: "CLOSE_WAIT", undelivered: 65160 },
  ]);
});

test("a VM without a user network has none", () => {
  expect(parseHostForwards("")).toEqual([]);
  expect(parseGuestConnections("")).toEqual([]);
});

const rule = {
  netdev: "net0",
  hostAddress: "127.0.0.1",
  hostPort: 8080,
  guestAddress: "10.0.2.15",
  guestPort: 80,
};

/** A human monitor that says `text` to everything, and the lines it got. */
async function human(text: string) {
  const lines: string[] = [];
  const peer = await listen(
    monitor((request, socket) => {
      lines.push((request.arguments as { "command-line": string })["command-line"]);
      socket.write(reply(request, text));
    }),
  );
  const qmp = await connectQmp(peer.path);
  return {
    qmp,
    lines,
    async [Symbol.asyncDispose]() {
      await qmp.close();
      await peer[Symbol.asyncDispose]();
    },
  };
}

// Texts of QEMU 7.2.
const notBound = "Could not set up host forwarding rule 'tcp:127.0.0.1:8080-10.0.2.15:80'\r\n";
const badAddress = "Invalid host forwarding rule 'tcp:..' (Bad host address)\r\n";
const noNetdev = "unrecognized netdev id 'net0'\r\n";
const unknown = "unknown command: 'hostfwd_add'\r\n";
const removed = "host forwarding rule for tcp:127.0.0.1:8080 removed\r\n";
const notFound = "host forwarding rule for tcp:127.0.0.1:8080 not found\r\n";

test("a forward is added and removed by one line each", async () => {
  await using adding = await human("");
  await addHostForward(adding.qmp, { ...rule, hostPort: 0 });
  await using removing = await human(removed);
  await removeHostForward(removing.qmp, rule);
  expect([...adding.lines, ...removing.lines]).toEqual([
    "hostfwd_add net0 tcp:127.0.0.1:0-10.0.2.15:80",
    "hostfwd_remove net0 tcp:127.0.0.1:8080",
  ]);
});

test.each([
  ["hostForwards", unknown, "Qmp"],
  ["addHostForward", notBound, "PortInUse"],
  ["addHostForward", badAddress, "Qmp"],
  ["addHostForward", noNetdev, "Qmp"],
  ["addHostForward", unknown, "Qmp"],
  ["addHostForward", removed, "Qmp"],
  ["removeHostForward", "", "Qmp"],
  ["removeHostForward", notFound, "Qmp"],
  ["removeHostForward", noNetdev, "Qmp"],
  ["removeHostForward", notBound, "Qmp"],
])("%s takes %j for the error %s", async (name, text, code) => {
  await using monitor = await human(text);
  const commands = {
    hostForwards: () => hostForwards(monitor.qmp),
    addHostForward: () => addHostForward(monitor.qmp, rule),
    removeHostForward: () => removeHostForward(monitor.qmp, rule),
  };
  await expect(commands[name as keyof typeof commands]()).rejects.toMatchObject({ code });
});

test.each([
  { netdev: "" },
  { netdev: "net0 tcp:0.0.0.0:1-:1" },
  { netdev: "net0\n" },
  { netdev: "0net" },
  { hostAddress: "" },
  { hostAddress: "localhost" },
  { hostAddress: "::1" },
  { hostAddress: "127.0.0.1:1" },
  { hostAddress: "127.0.0.1\n" },
  { hostAddress: "0127.0.0.1" },
  { hostPort: -1 },
  { hostPort: 65536 },
  { hostPort: 1.5 },
  { hostPort: NaN },
  { hostPort: "80-:1" as unknown as number },
  { guestAddress: "" },
  { guestAddress: "10.0.2.15 x" },
  { guestPort: 0 },
  { guestPort: 65536 },
])("%j is refused before anything is sent", async (bad) => {
  await using monitor = await human("");
  await expect(addHostForward(monitor.qmp, { ...rule, ...bad })).rejects.toMatchObject({
    code: "InvalidArgument",
    evidence: expect.stringContaining(Object.keys(bad)[0]!) as string,
  });
  expect(monitor.lines).toEqual([]);
});

test("the rule of a chosen port is not removed by port 0", async () => {
  await using monitor = await human(removed);
  await expect(removeHostForward(monitor.qmp, { ...rule, hostPort: 0 })).rejects.toMatchObject({
    code: "InvalidArgument",
  });
});

test("no values make another line than one rule", async () => {
  await using monitor = await human("");
  const text = fc.oneof(fc.string(), fc.constantFrom("net0", "127.0.0.1", "10.0.2.15"));
  const port = fc.oneof(fc.nat(70_000), fc.double(), fc.string()) as fc.Arbitrary<number>;
  await fc.assert(
    fc.asyncProperty(
      fc.record({ netdev: text, hostAddress: text, hostPort: port, guestAddress: text, guestPort: port }),
      async (values) => {
        await addHostForward(monitor.qmp, values).catch((error: unknown) =>
          expect(error).toMatchObject({ code: "InvalidArgument" }),
        );
      },
    ),
    { numRuns: 500 },
  );
  for (const line of monitor.lines) {
    expect(line).toMatch(/^hostfwd_add [\w.-]+ tcp:[\d.]+:\d+-[\d.]+:\d+$/);
  }
});
