import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  recallKvm,
  rememberKvm,
  verdictFolder,
  type KvmObservation,
} from "../../../src/launcher/host/kvm-verdict.js";
import { hostBootId } from "../../../src/launcher/host/process.js";

let dir: string;
let qemu: { binary: string };
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "verdict-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
  qemu = { binary: join(dir, "qemu") };
  await writeFile(qemu.binary, "");
});
afterEach(async () => {
  import.meta.jest.useRealTimers();
  await rm(dir, { recursive: true });
});

test("a verdict counts for a day, for that QEMU and such guests", async () => {
  await rememberKvm(qemu, "x86_64", { works: false, reason: "QEMU was killed by SIGABRT" });
  const verdict = (await recallKvm(qemu, "x86_64"))!;
  expect(verdict).toMatchObject({ works: false, reason: "QEMU was killed by SIGABRT" });
  expect(verdict.expires.getTime() - verdict.at.getTime()).toBe(24 * 60 * 60 * 1000);
  expect(await recallKvm(qemu, "aarch64")).toBeUndefined();
  expect(await recallKvm({ binary: process.execPath }, "x86_64")).toBeUndefined();
});

test("the last boot's word counts", async () => {
  await rememberKvm(qemu, "x86_64", { works: false, reason: "silence" });
  await rememberKvm(qemu, "x86_64", { works: true, reason: "a guest answered under it" });
  expect(await recallKvm(qemu, "x86_64")).toMatchObject({ works: true });
});

const minutes = 60_000;
const day = 24 * 60 * minutes;
const silent = { works: false, reason: "silence", doubtful: true } as const;
const aborted = { works: false, reason: "QEMU aborted" };
const worked = { works: true, reason: "a guest answered under it" };

test.each<[string, [atMinute: number, KvmObservation][], expected: [reason: string, forMs: number]]>([
  ["one silence counts for a short while", [[0, silent]], ["silence", 10 * minutes]],
  [
    "more of them at the same time are the same one",
    [
      [0, silent],
      [2, silent],
    ],
    ["silence", 10 * minutes],
  ],
  [
    "the next one in a row counts for a day",
    [
      [0, silent],
      [11, silent],
    ],
    ["silence", day],
  ],
  [
    "one after a success is the first again",
    [
      [0, silent],
      [11, worked],
      [12, silent],
    ],
    ["silence", 10 * minutes],
  ],
  ["an abort leaves no doubt", [[0, aborted]], ["QEMU aborted", day]],
  [
    "nor does one in the short while",
    [
      [0, silent],
      [2, aborted],
    ],
    ["QEMU aborted", day],
  ],
  [
    "an abort is not put in doubt by a silence",
    [
      [0, aborted],
      [2, silent],
    ],
    ["QEMU aborted", day],
  ],
])("%s", async (_, boots, [reason, forMs]) => {
  const start = 1_800_000_000_000;
  import.meta.jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate"], now: start });
  for (const [minute, observation] of boots) {
    import.meta.jest.setSystemTime(start + minute * minutes);
    await rememberKvm(qemu, "x86_64", observation);
  }
  const { at, expires, ...verdict } = (await recallKvm(qemu, "x86_64"))!;
  expect([verdict.reason, expires.getTime() - at.getTime()]).toEqual([reason, forMs]);
  import.meta.jest.setSystemTime(expires.getTime() - 1);
  expect(await recallKvm(qemu, "x86_64")).toBeDefined();
  import.meta.jest.setSystemTime(expires.getTime());
  expect(await recallKvm(qemu, "x86_64")).toBeUndefined();
});

test("after another boot of the host nothing is known", async () => {
  await rememberKvm(qemu, "x86_64", { works: true, reason: "a guest answered under it" });
  const [name] = await readdir(verdictFolder());
  const file = join(verdictFolder(), name!);
  const text = await readFile(file, "utf8");
  expect(text).toContain(hostBootId());
  await writeFile(file, text.replace(hostBootId(), "00000000-0000-4000-8000-000000000000"));
  expect(await recallKvm(qemu, "x86_64")).toBeUndefined();
});

test("without its folder it is forgotten", async () => {
  await rememberKvm(qemu, "x86_64", { works: false, reason: "silence" });
  await rm(verdictFolder(), { recursive: true });
  expect(await recallKvm(qemu, "x86_64")).toBeUndefined();
});
