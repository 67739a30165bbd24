import { appendFile, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { ConsoleLog } from "../../../src/launcher/evidence/console-log.js";
import { hasOutput, tailLines } from "../../../src/launcher/evidence/console.js";
import { formerConsole } from "../../../src/launcher/start/keeper.js";

let dir: string;
let path: string;
let log: ConsoleLog;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "console-log-"));
  path = join(dir, "console.log");
  log = new ConsoleLog(path);
});
afterEach(async () => {
  await log[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const rest = (): Promise<string> => restOf(log);

async function restOf(one: ConsoleLog): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const bytes of one.rest()) pieces.push(Buffer.from(bytes));
  return Buffer.concat(pieces).toString();
}

const rotate = async (): Promise<void> => await rename(path, formerConsole(path));

test("nothing, then what comes, each byte once", async () => {
  expect(await rest()).toBe("");
  await appendFile(path, "a");
  expect(await rest()).toBe("a");
  expect(await rest()).toBe("");
  await appendFile(path, "b".repeat(100_000));
  expect(await rest()).toBe("b".repeat(100_000));
});

test("the former file comes first, with or without a current one", async () => {
  await writeFile(path, "old ");
  await rotate();
  expect(await rest()).toBe("old ");
  await writeFile(path, "new");
  expect(await rest()).toBe("new");
  await using another = new ConsoleLog(path);
  expect(await restOf(another)).toBe("old new");
});

test("a file that is moved is read to its end, the one after it from its beginning", async () => {
  await writeFile(path, "1");
  expect(await rest()).toBe("1");
  await appendFile(path, "2");
  await rotate();
  expect(await rest()).toBe("2");
  await writeFile(path, "3");
  expect(await rest()).toBe("3");
  await appendFile(path, "4");
  await rotate();
  await writeFile(path, "5");
  expect(await rest()).toBe("45");
});

test("a file that was replaced since the last look is read to its end all the same", async () => {
  await writeFile(path, "1");
  expect(await rest()).toBe("1");
  for (const next of ["2", "3", "4"]) {
    await appendFile(path, `${next}a`);
    await rotate();
    await writeFile(path, `${next}b`);
  }
  expect(await rest()).toBe("2a3b4a4b");
});

test("when its folder has gone, what was not read yet is still there", async () => {
  await writeFile(path, "1");
  expect(await rest()).toBe("1");
  await appendFile(path, "2");
  await rm(dir, { recursive: true });
  expect(await rest()).toBe("2");
  expect(await rest()).toBe("");
});

test("a writer that moves its files on between any two steps of the reader: no line lost, none twice", async () => {
  const lines = Array.from({ length: 4000 }, (_, i) => `${i}\n`);
  let [looks, ended] = [0, false];
  const writing = (async () => {
    for (const [i, line] of lines.entries()) {
      await appendFile(path, line);
      if (i % 100 !== 0) continue;
      // The real one, too, takes longer for a file than its reader for a look.
      for (const before = looks; looks < before + 2;) await turn();
      await rotate();
    }
    ended = true;
  })();
  let seen = "";
  for (; !ended; looks++) seen += await rest();
  await writing;
  expect(seen + (await rest())).toBe(lines.join(""));
}, 60_000);

test("an error's last lines reach back into the former file", async () => {
  await writeFile(formerConsole(path), `${"x".repeat(9000)}\nKernel panic\n`);
  expect(await tailLines(path, 2)).toMatch(/^x+\nKernel panic$/);
  expect(hasOutput(path)).toBe(true);
  await writeFile(path, "Rebooting\n");
  expect(await tailLines(path, 2)).toBe("Kernel panic\nRebooting");
});
