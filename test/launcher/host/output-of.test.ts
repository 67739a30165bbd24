import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { outputOf } from "../../../src/launcher/host/output-of.js";
import { processesStartedWith } from "../../../tools/leftovers.js";
import { eventually } from "../../support/wait.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "output-of-"));
  process.env["OUTPUT_OF_TEST"] = dir;
});
afterEach(async () => {
  delete process.env["OUTPUT_OF_TEST"];
  // Whatever was started in a test is gone after it.
  await eventually(async () => (await processesStartedWith(dir)).length === 0);
  await rm(dir, { recursive: true });
});

async function script(text: string): Promise<string> {
  const file = join(dir, "program");
  await writeFile(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return file;
}

test("what it prints", async () =>
  expect(await outputOf(await script('echo "$# $1"'), ["-version", "a b"], 60_000)).toBe("2 -version"));

test.each([
  ["sleeps", "exec sleep 300"],
  ["waits for another", "sleep 300 & wait"],
  ["is deaf to signals", "trap '' TERM INT HUP; while :; do sleep 1; done"],
])("a program that %s is over when its time is", async (_, text) =>
  expect(outputOf(await script(text), ["-version"], 300)).rejects.toThrow(
    "no answer to -version within 0.3 s",
  ),
);

test("one that leaves another behind is not waited for any longer", async () =>
  expect(await outputOf(await script("echo yes; sleep 300 &"), [], 300)).toBe("yes"));

test("one that prints without end is stopped", async () =>
  expect(outputOf(await script("exec yes"), [], 60_000)).rejects.toMatchObject({ isMaxBuffer: true }));

test("one that fails says how", async () =>
  expect(outputOf(await script("echo no >&2; exit 3"), [], 60_000)).rejects.toMatchObject({
    exitCode: 3,
    stderr: "no",
  }));
