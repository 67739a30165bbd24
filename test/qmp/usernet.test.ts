import { parseHostForwards } from "../../src/qmp/usernet.js";

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

test("a VM without a user network has none", () => {
  expect(parseHostForwards("")).toEqual([]);
});
