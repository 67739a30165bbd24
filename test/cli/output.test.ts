/** Failures that no room of the program has put into words. */
import { readFile } from "node:fs/promises";
import { reportFailure } from "../../src/cli/output.js";
import { describeVm } from "../../src/cli/run.js";
import { statusOfAnswering } from "../../src/launcher/evidence/status.js";
import { generationWith, recordWith } from "../support/record.js";
import { errorIn } from "./outcome.js";

/** What is told of the error: for a person, and as the document's error. */
function told(error: unknown) {
  const written: string[] = [];
  const spy = import.meta.jest
    .spyOn(process.stderr, "write")
    .mockImplementation((text) => written.push(String(text)) > 0);
  try {
    expect([reportFailure(error, {}), reportFailure(error, { json: true })]).toEqual([1, 1]);
  } finally {
    spy.mockRestore();
  }
  const [words, document] = written.map((text) => text.trimEnd());
  return { words, document: errorIn({ status: 1, stdout: "", stderr: document! }) };
}

test("a system error is Io, with the system's words", async () => {
  const error = await readFile("/").catch((reason: unknown) => reason);
  const message = "EISDIR: illegal operation on a directory, read";
  expect(told(error)).toEqual({ words: `Io: ${message}`, document: { code: "Io", message } });
});

test.each([
  ["a fault of the program's own", new TypeError("x is not a function")],
  ["an error with somebody else's code", Object.assign(new Error("x is not a function"), { code: "ERR_X" })],
])("%s is Unexpected; where it is stands in the text alone", (_, error) => {
  const { words, document } = told(error);
  expect(words).toContain("x is not a function\n    at ");
  expect(document).toEqual({ code: "Unexpected", message: "x is not a function" });
});

test("of a VM it is said how it came up, and how long that took", () => {
  const linesWith = (changes: object) => {
    const generation = generationWith({ bootMillis: 120, ...changes });
    return describeVm(statusOfAnswering({ ...recordWith(), generation })).split("\n");
  };
  expect(linesWith({})).toContain("boot:        0.12 s");
  expect(linesWith({ warm: true })).toContain("boot:        0.12 s, went on from a saved state");
});
