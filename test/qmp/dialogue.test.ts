import { connectQmp, hostForwards, queryStatus, quit, systemPowerdown } from "../../src/qmp/index.js";
import { listen, readRequests } from "./peer.js";

/**
 * What QEMU 7.2.22 (Debian 12) sent with `-machine microvm -S -name nét€`, by the command that made it speak.
 */
const dialogue: [command: string, sent: string[]][] = [
  [
    "",
    [
      '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2+dfsg-7+deb12u18+b3"}, "capabilities": ["oob"]}}',
    ],
  ],
  ["qmp_capabilities", ['{"return": {}, "id": 1}']],
  ["query-status", ['{"return": {"status": "prelaunch", "singlestep": false, "running": false}, "id": 2}']],
  ["query-name", [String.raw`{"return": {"name": "n\u00E9t\u20AC"}, "id": 3}`]],
  [
    "human-monitor-command",
    [
      String.raw`{"return": "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  TCP[HOST_FORWARD]   8       127.0.0.1 46567       10.0.2.15  8080     0     0\r\n", "id": 4}`,
    ],
  ],
  [
    "cont",
    [
      '{"timestamp": {"seconds": 1795485962, "microseconds": 803041}, "event": "RESUME"}',
      '{"return": {}, "id": 5}',
    ],
  ],
  [
    "stop",
    [
      '{"timestamp": {"seconds": 1795485963, "microseconds": 204466}, "event": "STOP"}',
      '{"return": {}, "id": 6}',
    ],
  ],
  [
    "eject",
    [
      String.raw`{"id": 7, "error": {"class": "GenericError", "desc": "Need exactly one of 'device' and 'id'"}}`,
    ],
  ],
  [
    "system_powerdown",
    [
      '{"timestamp": {"seconds": 1795485964, "microseconds": 6547}, "event": "POWERDOWN"}',
      '{"return": {}, "id": 8}',
    ],
  ],
  [
    "quit",
    [
      '{"timestamp": {"seconds": 1795485986, "microseconds": 478317}, "event": "SHUTDOWN", "data": {"guest": false, "reason": "host-qmp-quit"}}',
      '{"return": {}, "id": 9}',
    ],
  ],
];

/** Has the dialogue with a peer whose stream is cut in two at one byte. Gives the stream's length. */
async function talk(cut: number): Promise<number> {
  let sent = 0;
  let turn = 0;
  await using peer = await listen((socket) => {
    const speak = (command: string): void => {
      const [expected, answer] = dialogue[turn++]!;
      expect(command).toBe(expected);
      const bytes = Buffer.from(answer.map((line) => `${line}\r\n`).join(""));
      const at = Math.min(Math.max(cut - sent, 0), bytes.length);
      sent += bytes.length;
      socket.write(bytes.subarray(0, at));
      setImmediate(() => {
        socket.write(bytes.subarray(at));
        if (turn === dialogue.length) socket.end();
      });
    };
    speak("");
    readRequests(socket, ({ execute }) => speak(execute));
  });

  await using qmp = await connectQmp(peer.path);
  const events = qmp.events();
  expect(qmp.version.qemu).toEqual({ major: 7, minor: 2, micro: 22 });
  expect(await queryStatus(qmp)).toEqual({ status: "prelaunch", running: false });
  expect(await qmp.execute("query-name")).toEqual({ name: "nét€" });
  expect(await hostForwards(qmp)).toEqual([
    { hostAddress: "127.0.0.1", hostPort: 46567, guestAddress: "10.0.2.15", guestPort: 8080 },
  ]);
  await qmp.execute("cont");
  await qmp.execute("stop");
  await expect(qmp.execute("eject")).rejects.toMatchObject({ code: "Qmp" });
  await systemPowerdown(qmp);
  await quit(qmp);

  const names: string[] = [];
  const reading = (async () => {
    for await (const { name } of events) names.push(name);
  })();
  await expect(reading).rejects.toMatchObject({ code: "QmpIo" });
  expect(names).toEqual(["RESUME", "STOP", "POWERDOWN", "SHUTDOWN"]);
  return sent;
}

// Some 1,100 dialogues, a minute's work on a host that is busy with ten other things.
test("a recorded dialogue is understood wherever its bytes are split", async () => {
  const length = await talk(0);
  for (let cut = 1; cut <= length; cut++) await talk(cut);
}, 300_000);
