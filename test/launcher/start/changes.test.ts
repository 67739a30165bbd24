/** A file that others write to, by the kernel's notice or by looking. */
import { once } from "node:events";
import { appendFileSync, closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changesOf } from "../../../src/launcher/start/changes.js";

const dir = mkdtempSync(join(tmpdir(), "changes-"));
afterAll(() => rmSync(dir, { recursive: true }));

test.each([
  ["of a file that is there", true],
  ["of a file that is yet to come", false],
])("%s: each is told, also one that comes while the last is looked at", async (name, isThere) => {
  const path = join(dir, name);
  if (isThere) writeFileSync(path, "");
  const end = new AbortController();
  const changes = changesOf(path, end.signal);
  expect((await changes.next()).done).toBe(false);
  for (let round = 0; round < 20; round++) {
    appendFileSync(path, "x");
    expect((await changes.next()).done).toBe(false);
  }
  setImmediate(() => end.abort());
  for await (const _ of changes);
});

test("a wait ends at once when it is called off, before it began too", async () => {
  const path = join(dir, "quiet");
  writeFileSync(path, "");
  for (const before of [true, false]) {
    const end = new AbortController();
    const aborted = once(end.signal, "abort");
    if (before) end.abort();
    const changes = changesOf(path, end.signal);
    if (!before) {
      await changes.next();
      const waiting = changes.next();
      end.abort();
      expect((await waiting).done).toBe(true);
    }
    await aborted;
    expect((await changes.next()).done).toBe(true);
  }
});

test("a file that is flooded keeps nobody busy", async () => {
  const file = openSync(join(dir, "flood"), "w");
  const flood = setInterval(() => writeSync(file, "x"), 0);
  try {
    const start = performance.now();
    let looks = 0;
    for await (const _ of changesOf(join(dir, "flood"), AbortSignal.timeout(500))) looks++;
    expect(looks).toBeLessThanOrEqual((performance.now() - start) / 2 + 2);
    expect(looks).toBeGreaterThan(2);
  } finally {
    clearInterval(flood);
    closeSync(file);
  }
});
