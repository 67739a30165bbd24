/** Who boots when: within this process, between processes, and after one that died. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { inTurn } from "../../../src/launcher/start/boot-queue.js";
import { freeMemoryMb } from "../../../src/launcher/host/host-memory.js";
import { bootsDir } from "../../../src/paths.js";
import { eventually } from "../../support/wait.js";

let dir: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "queue-"));
  process.env["MICROVM_STATE_DIR"] = dir;
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true });
});

const atOnce = 2 * availableParallelism();
const range = (length: number) => Array.from({ length }, (_, i) => i);
const queued = async () => (await readdir(bootsDir())).length;

/** Boots that are under way until they are told to end, in the order in which they began. */
function boots() {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const start = async (id: number, memoryMb = 1, onProgress?: (text: string) => void) =>
    await inTurn({ memoryMb, onProgress }, async (waitedMs) => {
      begun.push(id);
      await new Promise<void>((end) => (ends[id] = end));
      return waitedMs;
    });
  return { begun, start, end: (id: number) => ends[id]!() };
}

/** Holds places in a process of its own. */
async function elsewhere(count: number): Promise<ChildProcess> {
  const program = `
    import { inTurn } from ${JSON.stringify(resolve("src/launcher/start/boot-queue.ts"))};
    for (let i = 0; i < ${count}; i++)
      void inTurn({ memoryMb: 1 }, () => new Promise((done) => setTimeout(done, 1e6)));`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  children.push(child);
  await eventually(async () => (await queued().catch(() => 0)) === count);
  return child;
}

test("as many as the processors bear boot at once, the others follow in the order of their coming", async () => {
  const { begun, start, end } = boots();
  const said: string[] = [];
  const all = [];
  for (const id of range(atOnce + 3)) {
    all.push(start(id, 1, (text) => said.push(text)));
    await eventually(async () => (await queued().catch(() => 0)) === id + 1);
  }
  await eventually(() => begun.length === atOnce && said.length === 3);
  expect(said).toEqual(range(3).map((i) => `waiting for ${atOnce + i} other boots`));
  for (const id of range(atOnce + 3)) {
    await eventually(() => begun.length === Math.min(atOnce + id, atOnce + 3));
    end(id);
    await all[id];
  }
  expect(begun).toEqual(range(atOnce + 3));
  const waits = await Promise.all(all);
  expect(waits.map((ms) => ms > 0)).toEqual(range(atOnce + 3).map((id) => id >= atOnce));
  expect(await queued()).toBe(0);
});

test("a process that boots elsewhere counts, until it is killed", async () => {
  const other = await elsewhere(atOnce);
  const { begun, start, end } = boots();
  let said = "";
  const boot = start(0, 1, (text) => (said = text));
  await eventually(() => said);
  expect(begun).toEqual([]);
  other.kill("SIGKILL");
  await eventually(() => begun.length === 1);
  expect(await queued()).toBe(1);
  end(0);
  await boot;
});

test("one that is stopped keeps nobody waiting", async () => {
  const other = await elsewhere(atOnce);
  other.kill("SIGSTOP");
  await inTurn({ memoryMb: 1 }, () => Promise.resolve());
  expect(await queued()).toBe(atOnce);
});

test("what a process of another time left is cleared away", async () => {
  const { start, end, begun } = boots();
  const first = start(0);
  await eventually(() => begun.length === 1);
  await symlink("1 99999999999 x 1", join(bootsDir(), `${"0".repeat(20)}.1.1.99999999999.x.1`));
  await symlink("nonsense", join(bootsDir(), "0"));
  await inTurn({ memoryMb: 1 }, () => Promise.resolve());
  expect(await queued()).toBe(1);
  end(0);
  await first;
});

test("memory that is promised to those who boot is not free for the next", async () => {
  const { begun, start, end } = boots();
  const half = Math.floor(freeMemoryMb() * 0.6);
  let said = "";
  const first = start(0, half);
  await eventually(() => begun.length === 1);
  const second = start(1, half, (text) => (said = text));
  await eventually(() => said);
  expect(said).toBe(`waiting for ${half + 64} MiB of free memory`);
  expect(begun).toEqual([0]);
  end(0);
  await first;
  await eventually(() => begun.length === 2);
  end(1);
  expect(await second).toBeGreaterThan(0);
});

const never = () => Promise.reject(new Error("it ran"));

test("a VM larger than the host is refused with both numbers and what would fit", async () => {
  const refused = inTurn({ memoryMb: 900_000_000 }, never);
  await expect(refused).rejects.toMatchObject({
    code: "HostMemoryTooSmall",
    property: "memoryMb",
    message: expect.stringMatching(/takes up to 900000064 MiB .* this host has \d+ MiB in all/) as string,
    hint: expect.stringMatching(/^Set memoryMb to \d+ or less\.$/) as string,
  });
});

test("memory that does not come free is told after a while", async () => {
  // What fits this host only if nothing else were there.
  const memoryMb = Math.floor(totalmem() / 2 ** 20) - 64;
  const patience = { bootsMs: 1, memoryMs: 1 };
  const refused = inTurn({ memoryMb, patience }, never);
  await expect(refused).rejects.toMatchObject({
    code: "HostMemoryTooSmall",
    message: expect.stringMatching(/\d+ MiB are free$/) as string,
    hint: expect.stringContaining("`microvm ls`") as string,
  });
  expect(await queued()).toBe(0);
});

test("boots that never end are told with their process after a while", async () => {
  const other = await elsewhere(atOnce);
  const stuck = inTurn({ memoryMb: 1, patience: { bootsMs: 1, memoryMs: 1 } }, never);
  await expect(stuck).rejects.toMatchObject({
    code: "Timeout",
    evidence: `they are those of process ${other.pid}`,
  });
  expect(await queued()).toBe(atOnce);
});

test("a wait can be cancelled, and a failed boot makes room", async () => {
  await elsewhere(atOnce);
  const waiting = inTurn({ memoryMb: 1, signal: AbortSignal.timeout(100) }, never);
  await expect(waiting).rejects.toThrow();
  expect(await queued()).toBe(atOnce);
  children[0]!.kill("SIGKILL");
  await expect(inTurn({ memoryMb: 1 }, never)).rejects.toThrow("it ran");
  expect(await queued()).toBe(0);
});

test("where no place can be taken, the boot goes on", async () => {
  await writeFile(bootsDir(), "");
  expect(await inTurn({ memoryMb: 1 }, (waitedMs) => Promise.resolve(waitedMs))).toBe(0);
});
