import fc from "fast-check";
import { lineSplitter, parseMessage } from "../../src/qmp/framing.js";

const qmpError = (fields = {}): Error => expect.objectContaining({ code: "Qmp", ...fields }) as Error;

const text = '{"event":"Ä€😀"}\r\n\r\n{"return":""}\n';

test("lines come out the same wherever the stream is cut", () => {
  const bytes = Buffer.from(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const split = lineSplitter();
    const lines = [...split(bytes.subarray(0, cut)), ...split(bytes.subarray(cut))];
    expect(lines).toEqual(['{"event":"Ä€😀"}\r', "\r", '{"return":""}']);
  }
});

test("any chunks give the lines of the whole", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (chunks) => {
      const split = lineSplitter();
      const lines = chunks.flatMap((chunk) => split(Buffer.from(chunk)));
      const whole = Buffer.concat([...chunks, Buffer.from("\n")]);
      expect([...lines, ...split(Buffer.from("\n"))]).toEqual(lineSplitter()(whole));
    }),
  );
});

test("a line that never ends is refused, lines up to the limit are not", () => {
  const split = lineSplitter(10);
  expect(split(Buffer.from("0123456789"))).toEqual([]);
  expect(split(Buffer.from("\n0123456789"))).toEqual(["0123456789"]);
  expect(() => split(Buffer.from("x"))).toThrow(qmpError());
});

test.each([
  ['{"return": "", "id": 1}', { kind: "success", id: 1, value: "" }],
  ['{"id": 1, "return": null}', { kind: "success", id: 1, value: null }],
  ['{"return": false}', { kind: "success", id: undefined, value: false }],
  [
    '{"id": 4, "error": {"class": "CommandNotFound", "desc": "no"}}',
    { kind: "failure", id: 4, class: "CommandNotFound", desc: "no" },
  ],
  [
    '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "POWERDOWN"}',
    { kind: "event", name: "POWERDOWN", data: {} },
  ],
  [
    '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 1, "major": 9}, "package": ""}, "capabilities": []}}',
    { kind: "greeting", version: { qemu: { major: 9, minor: 1, micro: 2 }, package: "" } },
  ],
])("%s is read", (line, message) => {
  expect(parseMessage(line)).toEqual(message);
});

test.each(["", "x", "{", "null", "[]", "{}", '"return"', '{"error": "text"}', '{"QMP": {}}', '{"event": 1}'])(
  "%j is refused with the line as evidence",
  (line) => {
    expect(() => parseMessage(line)).toThrow(qmpError({ evidence: line }));
  },
);

test("no text crashes the parser", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
      try {
        parseMessage(line);
      } catch (error) {
        expect(error).toMatchObject({ code: "Qmp" });
      }
    }),
  );
});
