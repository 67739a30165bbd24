/** One operation at a time on a VM: within this process, between processes, and after one that died. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import {
  calledOffOr,
  callOff,
  throwIfCalledOff,
  vmLockHolder,
  withVmLock,
} from "../../../src/launcher/record/lock.js";
import { hostBootId, processWith } from "../../../src/launcher/host/process.js";
import { removeVmDir, vmDir } from "../../../src/launcher/record/vm-folder.js";

let dir: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "lock-"));
  process.env["MICROVM_STATE_DIR"] = dir;
  await mkdir(vmDir("db-1"), { recursive: true });
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true });
});

/** Runs the text in a process of its own, which has `withVmLock` and a counter in a file. */
function elsewhere(text: string): ChildProcess {
  const program = `
    import { readFile, writeFile } from "node:fs/promises";
    import { setTimeout as sleep } from "node:timers/promises";
    import { withVmLock } from ${JSON.stringify(resolve("src/launcher/record/lock.ts"))};
    const counter = ${JSON.stringify(join(dir, "counter"))};
    const count = async () => {
      const now = Number(await readFile(counter, "utf8"));
      await sleep(1);
      await writeFile(counter, String(now + 1));
    };
    ${text}`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  children.push(child);
  return child;
}

const lockFiles = async () => (await readdir(vmDir("db-1"))).filter((name) => name.startsWith("lock."));

test("work by several processes and several callers in each never overlaps", async () => {
  const counter = join(dir, "counter");
  await writeFile(counter, "0");
  const work = `
    const one = async () => { for (let i = 0; i < 20; i++) await withVmLock("db-1", count, { waitMs: 120_000 }); };
    await Promise.all([one(), one()]);`;
  const workers = [1, 2, 3].map(() => elsewhere(work));
  const ends = await Promise.all(workers.map((worker) => once(worker, "exit")));
  expect(ends).toEqual([1, 2, 3].map(() => [0, null]));
  expect(await readFile(counter, "utf8")).toBe("120");
  expect(await lockFiles()).toHaveLength(1);
}, 120_000);

test("whoever holds it is named, and it can be waited for", async () => {
  let finish = () => {};
  const first = withVmLock("db-1", () => new Promise<void>((done) => (finish = done)));
  await sleep(20);
  expect(await vmLockHolder("db-1")).toEqual(processWith(process.pid));
  await expect(withVmLock("db-1", async () => {}, { waitMs: 0 })).rejects.toMatchObject({
    code: "VmBusy",
    message: expect.stringContaining(`process ${process.pid} (`) as string,
    hint: expect.stringContaining("microvm kill db-1") as string,
  });
  const second = withVmLock("db-1", () => Promise.resolve("second"));
  finish();
  await first;
  expect(await second).toBe("second");
  expect(await vmLockHolder("db-1")).toBeUndefined();
});

test("another copy of this package in the process, and another thread of it, see who holds it", async () => {
  const lock = JSON.stringify(pathToFileURL(resolve("src/launcher/record/lock.ts")).href);
  const takenBy = `async ({ withVmLock }) =>
    await withVmLock("db-1", async () => "taken", { waitMs: 0 }).catch(({ code }) => code)`;
  const thread = `
    import { parentPort } from "node:worker_threads";
    import { register } from "tsx/esm/api";
    register();
    parentPort.postMessage(await (${takenBy})(await import(${lock})));`;
  const holder = elsewhere(`
    import { Worker } from "node:worker_threads";
    const inThread = () =>
      new Promise((done) => new Worker(${JSON.stringify(thread)}, { eval: true }).once("message", done));
    const both = async () => [await (${takenBy})(await import(${lock} + "?copy")), await inThread()];
    const free = await both();
    await withVmLock("db-1", () => {});
    console.log(JSON.stringify([free, await withVmLock("db-1", both)]));`);
  const [line] = (await once(holder.stdout!, "data")) as [Buffer];
  expect(JSON.parse(line.toString())).toEqual([
    ["taken", "taken"],
    ["VmBusy", "VmBusy"],
  ]);
}, 60_000);

test("a wait for it can be cancelled", async () => {
  let finish = () => {};
  const first = withVmLock("db-1", () => new Promise<void>((done) => (finish = done)));
  await sleep(20);
  const second = withVmLock("db-1", async () => {}, { signal: AbortSignal.timeout(100) });
  await expect(second).rejects.toMatchObject({ code: "Cancelled" });
  finish();
  await first;
});

test("a failed work gives it back", async () => {
  await expect(withVmLock("db-1", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await withVmLock("db-1", () => Promise.resolve(1), { waitMs: 0 })).toBe(1);
});

describe("whoever holds it can be called off", () => {
  const cancelled = { code: "Cancelled", message: expect.stringContaining("somebody killed db-1") as string };

  test("and notices by the signal, when asking, or when something fails", async () => {
    expect(await callOff("db-1")).toBe(false);
    await withVmLock("db-1", async (signal) => {
      await throwIfCalledOff("db-1");
      expect(await callOff("db-1")).toBe(true);
      expect(await callOff("db-1")).toBe(true);
      await expect(throwIfCalledOff("db-1")).rejects.toMatchObject(cancelled);
      const gone = new Error("QEMU is gone");
      expect(await calledOffOr("db-1", gone)).toMatchObject({ ...cancelled, cause: gone });
      await once(signal!, "abort");
      expect(signal!.reason).toMatchObject(cancelled);
      const said = await calledOffOr("db-1", signal!.reason);
      expect(said).toMatchObject(cancelled);
      expect(said).not.toHaveProperty("cause");
    });
  });

  test("the next one is not meant, and a mark that came late is removed", async () => {
    expect(await withVmLock("db-1", () => callOff("db-1"))).toBe(true);
    await writeFile(join(vmDir("db-1"), "lock.1.off"), "");
    await withVmLock("db-1", async () => {
      await throwIfCalledOff("db-1");
      expect(await calledOffOr("db-1", "as it was")).toBe("as it was");
    });
    expect(await lockFiles()).toHaveLength(1);
  });

  test("by one that waits for it, whoever comes to hold it meanwhile", async () => {
    const untilCalledOff = () =>
      withVmLock("db-1", async (signal) => void (signal!.aborted || (await once(signal!, "abort"))), {
        waitMs: 60_000,
      });
    const others = [untilCalledOff(), untilCalledOff()];
    expect(await withVmLock("db-1", () => Promise.resolve("done"), { callsOff: true, waitMs: 60_000 })).toBe(
      "done",
    );
    // One that comes only after that is nobody's to call off.
    const left = setInterval(() => void callOff("db-1"), 50);
    await Promise.all(others).finally(() => clearInterval(left));
  }, 120_000);
});

test("a VM without a folder has nobody to call off", async () => {
  expect(await callOff("db-2")).toBe(false);
  await throwIfCalledOff("db-2");
});

test("a holder that was killed holds it no more", async () => {
  const holder = elsewhere(
    `await withVmLock("db-1", async () => { console.log("held"); await sleep(1e6); });`,
  );
  await once(holder.stdout!, "data");
  expect((await vmLockHolder("db-1"))?.pid).toBe(holder.pid);
  await expect(withVmLock("db-1", async () => {}, { waitMs: 0 })).rejects.toMatchObject({ code: "VmBusy" });
  const ended = once(holder, "exit");
  holder.kill("SIGKILL");
  await ended;
  // Of all who want it then, one has it at a time.
  let inside = 0;
  const work = async () => {
    expect(++inside).toBe(1);
    await sleep(5);
    inside--;
  };
  await Promise.all(Array.from({ length: 8 }, () => withVmLock("db-1", work)));
}, 60_000);

test.each([
  ["a process that is no more", () => `4194305 1 ${hostBootId()} 0 a`],
  ["another process with that pid", () => `1 99999999999 ${hostBootId()} 0 a`],
  ["a process of another boot", () => `${process.ppid} ${processWith(process.ppid)!.startTicks} x 0 a`],
  ["a lock of ours that could not be given back", ownLock],
  ["nonsense", () => "nonsense"],
])("%s holds nothing", async (_, target) => {
  await symlink(target(), join(vmDir("db-1"), "lock.7"));
  expect(await withVmLock("db-1", () => lockFiles(), { waitMs: 0 })).toEqual(["lock.8"]);
  expect(await lockFiles()).toEqual(["lock.9"]);
});

function ownLock(): string {
  const { pid, startTicks, bootId } = processWith(process.pid)!;
  return `${pid} ${startTicks} ${bootId} 0 a`;
}

test("a VM that is removed while it is waited for is said to be gone", async () => {
  const removal = withVmLock("db-1", async () => {
    await sleep(50);
    await removeVmDir("db-1");
  });
  await sleep(20);
  const next = withVmLock("db-1", async () => {});
  await expect(next).rejects.toMatchObject({ code: "VmNotFound" });
  await removal;
  expect(await readdir(join(dir, "vms"))).toEqual([]);
});

test("a VM that is removed and at once there anew: the lock of the new one is not given back with the old one's", async () => {
  await withVmLock("db-1", async () => {
    await removeVmDir("db-1");
    await mkdir(vmDir("db-1"));
    await symlink(ownLock(), join(vmDir("db-1"), "lock.1"));
  });
  expect(await lockFiles()).toEqual(["lock.1"]);
});

test("a folder that is taken away before it is locked is made again", async () => {
  const removal = withVmLock("db-1", async () => {
    await sleep(50);
    await removeVmDir("db-1");
  });
  await sleep(20);
  expect(await withVmLock("db-1", lockFiles, { makeFolder: true })).toEqual(["lock.1"]);
  await removal;
  expect(await lockFiles()).toEqual(["lock.2"]);
});

test("where no lock can be made the work is refused, or done where it is worth that", async () => {
  await rm(vmDir("db-1"), { recursive: true });
  await writeFile(vmDir("db-1"), "");
  await expect(withVmLock("db-1", async () => {})).rejects.toMatchObject({ code: "Io" });
  expect(await withVmLock("db-1", () => Promise.resolve("done"), { evenWithout: true })).toBe("done");
});
