/** Memory speeds launches up and never fails one: it is asked here in every state that a host can leave it in. */
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { memory, memoryFolder, rememberedMs } from "../../../src/launcher/host/remembered.js";
import { giveToNobody, testAsRoot } from "../../support/nobody.js";

const findings = memory("findings", z.object({ number: z.number() }));
const found = { number: 7 };
let dir: string;
let binary: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "remembered-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
  await writeFile((binary = join(dir, "qemu")), "1");
});
afterEach(async () => {
  import.meta.jest.useRealTimers();
  await rm(dir, { recursive: true });
});

const recalled = async (...circumstances: string[]) =>
  (await findings.recall(binary, ...circumstances))?.value;

/** The one file that there is. */
async function file(): Promise<string> {
  const names = await readdir(memoryFolder("findings"));
  expect(names).toHaveLength(1);
  return join(memoryFolder("findings"), names[0]!);
}

/** Waits until the file system gives a change another time than the binary's last: its clock goes in steps of some milliseconds. */
async function tick(): Promise<void> {
  const clock = join(dir, "clock");
  const { ctimeNs } = await stat(binary, { bigint: true });
  do await writeFile(clock, "tick");
  while ((await stat(clock, { bigint: true })).ctimeNs === ctimeNs);
}

test("what was remembered is recalled, with its time, under the same circumstances only", async () => {
  expect(await recalled("boot 1")).toBeUndefined();
  const before = Date.now();
  await findings.remember(found, binary, "boot 1");
  const { value, at } = (await findings.recall(binary, "boot 1"))!;
  expect(value).toEqual(found);
  expect(at.getTime()).toBeGreaterThanOrEqual(before);
  expect(await recalled("boot 2")).toBeUndefined();
  expect(await recalled()).toBeUndefined();
});

test("a binary has one file, private to the user, whatever becomes of it", async () => {
  await findings.remember({ number: 1 }, binary, "boot 1");
  await writeFile(binary, "2");
  await findings.remember(found, binary, "boot 2");
  expect(await recalled("boot 2")).toEqual(found);
  expect((await stat(await file())).mode & 0o777).toBe(0o600);
  expect((await stat(memoryFolder("findings"))).mode & 0o777).toBe(0o700);
});

test.each([
  ["at once", 0, found],
  ["just before its end", rememberedMs - 1, found],
  ["at its end", rememberedMs, undefined],
  ["after the clock was set back", -1, undefined],
])("its time, asked %s", async (_, later, answer) => {
  import.meta.jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate"], now: 1_800_000_000_000 });
  await findings.remember(found, binary);
  import.meta.jest.setSystemTime(1_800_000_000_000 + later);
  expect(await recalled()).toEqual(answer);
});

describe("another binary at the same place is noticed:", () => {
  const { atime, mtime } = { atime: new Date(1e12), mtime: new Date(1e12) };
  test.each([
    ["written over", () => writeFile(binary, "22")],
    [
      "of the same size and time",
      async () => {
        await writeFile(binary, "2");
        await utimes(binary, atime, mtime);
      },
    ],
    [
      "moved there, as package managers do",
      async () => {
        await writeFile(join(dir, "new"), "2");
        await utimes(join(dir, "new"), atime, mtime);
        await rename(join(dir, "new"), binary);
      },
    ],
    [
      "behind a link",
      async () => {
        await writeFile(join(dir, "other"), "1");
        await rm(binary);
        await symlink(join(dir, "other"), binary);
      },
    ],
    ["gone", () => rm(binary)],
  ])("%s", async (_, change) => {
    await utimes(binary, atime, mtime);
    await findings.remember(found, binary);
    expect(await recalled()).toEqual(found);
    await tick();
    await change();
    expect(await recalled()).toBeUndefined();
  });
});

test("a link and the binary behind it are one", async () => {
  await symlink(binary, join(dir, "link"));
  await findings.remember(found, join(dir, "link"));
  expect(await recalled()).toEqual(found);
});

test.each([
  ["empty", ""],
  ["cut short", '{"at":"2026-11'],
  ["no JSON", "\0\0\0\0"],
  ["another document", "[]"],
  ["of another form", '{"at":"2026-11-24T00:00:00.000Z","of":[],"value":{"number":"7"}}'],
])("a file that is %s tells nothing, and is replaced", async (_, text) => {
  await findings.remember(found, binary);
  await writeFile(await file(), text);
  expect(await recalled()).toBeUndefined();
  await findings.remember(found, binary);
  expect(await recalled()).toEqual(found);
});

test("no change to a file's value brings in what is not of its form", async () => {
  await findings.remember(found, binary);
  const text = await readFile(await file(), "utf8");
  await writeFile(await file(), text.replace(":7", ":null"));
  expect(await recalled()).toBeUndefined();
});

test.each([
  [
    "a folder where the file should be",
    async () => {
      await findings.remember(found, binary);
      const path = await file();
      await rm(path);
      await mkdir(path);
    },
  ],
  [
    "a file where the folder should be",
    async () => {
      await mkdir(join(dir, "cache"));
      await writeFile(memoryFolder("findings"), "");
    },
  ],
  ["a cache that cannot be made", () => (process.env["MICROVM_CACHE_DIR"] = "/dev/null/cache")],
  ["a binary that is not there", () => rm(binary)],
])("%s stops nothing", async (_, prepare) => {
  await prepare();
  await findings.remember(found, binary);
  expect(await recalled()).toBeUndefined();
});

test("a cache that is read-only still tells what it holds", async () => {
  await findings.remember(found, binary);
  await chmod(memoryFolder("findings"), 0o500);
  expect(await recalled()).toEqual(found);
  // Which fails for everybody but root.
  await findings.remember(found, binary);
  expect(await recalled()).toEqual(found);
});

test("what others may write is not believed", async () => {
  await findings.remember(found, binary);
  for (const mode of [0o777, 0o770, 0o702]) {
    await chmod(memoryFolder("findings"), mode);
    expect(await recalled()).toBeUndefined();
  }
  await chmod(memoryFolder("findings"), 0o700);
  expect(await recalled()).toEqual(found);
});

testAsRoot("what another user wrote is not believed", async () => {
  await findings.remember(found, binary);
  await giveToNobody(memoryFolder("findings"));
  expect(await recalled()).toBeUndefined();
});
