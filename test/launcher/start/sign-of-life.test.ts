/** Signs of life that need no QEMU to be seen. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hasRun, silence } from "../../../src/launcher/start/sign-of-life.js";
import { filesIn } from "../../support/files-in.js";

let dir: string;
beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), "microvm-life-"))));
afterEach(async () => await rm(dir, { recursive: true }));

/** Nobody listens there. */
const generation = { controlSocket: "/none/ctl.sock", qmpSocket: "/none/qmp.sock" };

test("one with a silent console that wrote its ready line is left to come up", async () => {
  const files = filesIn(dir);
  await writeFile(files.ready, "ready 1234\n");
  const done = new AbortController();
  const waits = [silence({ generation, files }, 100, done.signal), sleep(1000, "awaited")];
  expect(await Promise.race(waits)).toBe("awaited");
  done.abort();
  await expect(waits[0]).rejects.toThrow();
});

test.each<[string, string, boolean | undefined]>([
  ["nothing at all", "", undefined],
  [
    "the kernel's setup code",
    "PPrroobbiinngg  EEDDDD  ((eedddd==ooffff  ttoo  ddiissaabbllee))......  ookk\n",
    undefined,
  ],
  ["a kernel whose clock stands", "[    0.000000] Linux version 6.1\n", undefined],
  ["a kernel whose clock runs", "[    0.000000] Linux version 6.1\n[    0.012345] x\n", true],
])("%s on the console", async (_, words, proof) => {
  const files = filesIn(dir);
  await writeFile(files.console, words);
  expect(await hasRun({ generation, files })).toBe(proof);
});
