/** What `prune` removes and what it leaves, by the evidence alone: no VM is booted. */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { destroyVm } from "../../../src/launcher/destroy.js";
import { withVmLock } from "../../../src/launcher/record/lock.js";
import { pruneVms, type PruneOptions, type PruneReport } from "../../../src/launcher/end/prune.js";
import { findRecord, listRecords, type VmRecord } from "../../../src/launcher/record/record.js";
import { writeRecord } from "../../../src/launcher/record/write.js";
import { generationFiles, removedPrefix, vmDir } from "../../../src/launcher/record/vm-folder.js";
import { shortSocketDir, vmsDir } from "../../../src/paths.js";
import { generationWith, recordWith } from "../../support/record.js";
import { isAlive } from "../../support/wait.js";

let dir: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "prune-"));
  process.env["MICROVM_STATE_DIR"] = dir;
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    // The next test's VM has the same uuid, and must not be found in it.
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  await rm(dir, { recursive: true, force: true });
});

const owner = { project: "p", stack: "s", resource: "db" };
const uuid = randomUUID();

/** A VM as its record tells, with the exit status of a guest that powered off. */
async function record(vmId: string, changes: Partial<VmRecord> = {}, qmpSocket = "/s"): Promise<void> {
  await writeRecord(recordWith({ vmId, generation: generationWith({ uuid, qmpSocket }), ...changes }));
  const files = generationFiles(vmId, 1);
  await mkdir(files.dir, { recursive: true });
  await writeFile(files.exitStatus, "0\n");
  await writeFile(files.console, "reboot: Power down\n");
}

/** A process that has the words on its command line, as QEMU has its uuid and its files. */
async function processWith(...words: string[]): Promise<number> {
  const program = "console.log(); setInterval(() => {}, 1e6)";
  const child = spawn(process.execPath, ["--eval", program, "--", ...words], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  children.push(child);
  await once(child.stdout, "data");
  return child.pid!;
}

/** Without what it finds of others in the temporary folder. */
async function prune(options?: PruneOptions): Promise<PruneReport> {
  const { removed, kept } = await pruneVms(options);
  return { removed: removed.filter(({ path }) => path.startsWith(dir) || path === sockets), kept };
}

const vmWithSockets = `db-${randomBytes(4).toString("hex")}`;
const sockets = shortSocketDir(vmWithSockets);

const there = async () => (await readdir(vmsDir())).sort();
const nothing = { removed: [], kept: [] };

test("no state folder, and one without VMs", async () => {
  expect(await prune()).toEqual(nothing);
  await mkdir(vmsDir(), { recursive: true });
  expect(await prune()).toEqual(nothing);
});

test.each<[string, (vmId: string) => Promise<unknown>, string]>([
  ["a VM that ended", (vmId) => record(vmId), "exited: the guest powered off"],
  ["an interrupted stop", (vmId) => record(vmId, { phase: "stopping" }), "exited: the guest powered off"],
  [
    "an interrupted launch",
    (vmId) => record(vmId, { phase: "creating", generation: undefined }),
    "its launch was interrupted",
  ],
  [
    "a folder without a record",
    (vmId) => mkdir(join(vmDir(vmId), "1"), { recursive: true }),
    "a folder without a record",
  ],
  ["a damaged record of which nothing runs", damaged, "the record of db-1 is damaged"],
])("%s is removed, and with a dry run told of", async (_, make, what) => {
  await make("db-1");
  const expected = {
    removed: [{ vmId: "db-1", path: vmDir("db-1"), what: expect.stringContaining(what) as string }],
    kept: [],
  };
  const before = await readdir(vmDir("db-1"), { recursive: true });
  expect(await prune({ dryRun: true })).toEqual(expected);
  expect(await readdir(vmDir("db-1"), { recursive: true })).toEqual(before);
  expect(await prune()).toEqual(expected);
  expect(await there()).toEqual([]);
});

async function damaged(vmId: string): Promise<void> {
  await record(vmId);
  await writeFile(join(vmDir(vmId), "record.json"), '{"format":');
}

test("a copy of a VM's folder is removed without that VM, by prune and by destroy", async () => {
  const pid = await processWith("-uuid", uuid, "-pidfile", generationFiles("db-1", 1).pidFile);
  await record("db-1");
  const copy = async (vmId: string) => await cp(vmDir("db-1"), vmDir(vmId), { recursive: true });
  await copy("copy-1");
  await expect(findRecord("copy-1")).rejects.toMatchObject({
    code: "Io",
    message: "the record of copy-1 is a copy of that of db-1",
  });
  expect((await listRecords()).map(({ vmId }) => vmId)).toEqual(["db-1"]);
  expect(await prune()).toMatchObject({ removed: [{ vmId: "copy-1", path: vmDir("copy-1") }], kept: [] });
  for (const from of ["powerdown", "sigkill"] as const) {
    await copy("copy-2");
    expect(await destroyVm("copy-2", { from })).toMatchObject({ rung: "gone" });
  }
  expect(await there()).toEqual(["db-1"]);
  expect(isAlive(pid)).toBe(true);
});

test.each<[string, (vmId: string) => Promise<unknown>, string]>([
  [
    "a newer version's record",
    async (vmId) => {
      await record(vmId);
      await writeFile(join(vmDir(vmId), "record.json"), '{"format":99}');
    },
    "the record of db-1 was written by a newer version",
  ],
  [
    "a record that cannot be read",
    (vmId) => mkdir(join(vmDir(vmId), "record.json"), { recursive: true }),
    "cannot read the record of db-1: EISDIR",
  ],
  [
    "a lock that says nothing",
    async (vmId) => {
      await record(vmId);
      await writeFile(join(vmDir(vmId), "lock.1"), "");
    },
    "cannot tell who works on db-1: EINVAL",
  ],
])("%s proves no VM over: it is named and left, and hides no other", async (_, make, what) => {
  await make("db-1");
  await record("db-2");
  expect(await prune({ all: true })).toMatchObject({
    removed: [{ vmId: "db-2" }],
    kept: [
      {
        vmId: "db-1",
        path: vmDir("db-1"),
        what: expect.stringContaining(what) as string,
        hint: expect.stringMatching(/\.$/) as string,
      },
    ],
  });
  expect(await there()).toEqual(["db-1"]);
});

test("a VM that runs is left alone, without a word", async () => {
  await record("db-1");
  await processWith("-uuid", uuid);
  expect(await prune({ all: true })).toEqual(nothing);
  expect(await there()).toEqual(["db-1"]);
});

test.each(["creating", "stopping"] as const)(
  "one that runs but was interrupted (%s) is named",
  async (phase) => {
    await record("db-1", { phase });
    await processWith("-uuid", uuid);
    expect(await prune()).toMatchObject({
      removed: [],
      kept: [
        {
          vmId: "db-1",
          what: expect.stringMatching(/was interrupted, and QEMU runs$/) as string,
          hint: "`microvm stop db-1` ends it.",
        },
      ],
    });
  },
);

test("a Pulumi stack's VM is named and left, but for `all`", async () => {
  await record("db-1", { owner });
  const report = await prune();
  expect(report.removed).toEqual([]);
  expect(report.kept).toEqual([
    {
      vmId: "db-1",
      path: vmDir("db-1"),
      what: "exited: the guest powered off; it belongs to the Pulumi stack p/s",
      hint: expect.stringContaining("`microvm prune --all`") as string,
    },
  ]);
  expect(await there()).toEqual(["db-1"]);
  expect(await prune({ all: true })).toMatchObject({ removed: [{ vmId: "db-1" }], kept: [] });
  expect(await there()).toEqual([]);
});

test.each<[string, (vmId: string) => Promise<unknown>]>([
  ["a damaged record", damaged],
  ["no record", (vmId) => mkdir(vmDir(vmId), { recursive: true })],
])("%s, but a process that may be the VM: named with that process, and left", async (_, make) => {
  await make("db-1");
  await make("db-12");
  const pid = await processWith("-pidfile", generationFiles("db-1", 1).pidFile);
  expect(await prune({ all: true })).toMatchObject({
    removed: [{ vmId: "db-12" }],
    kept: [
      { vmId: "db-1", hint: `Process ${pid} may be this VM: \`microvm kill db-1\` ends and removes it.` },
    ],
  });
  expect(await there()).toEqual(["db-1"]);
});

test("one that somebody is at work on is passed over", async () => {
  await record("db-1", { phase: "creating" });
  await withVmLock("db-1", async () => expect(await prune({ all: true })).toEqual(nothing));
  expect(await prune()).toMatchObject({ removed: [{ vmId: "db-1" }] });
});

test("what a killed writer left beside a VM that stays, and a removal that was interrupted", async () => {
  await record("db-1", { owner });
  const half = join(vmDir("db-1"), "record.json.123");
  await writeFile(half, "{");
  const doomed = join(vmsDir(), `${removedPrefix}db-2-12345678`);
  await mkdir(join(doomed, "1"), { recursive: true });
  await writeFile(join(vmsDir(), "a-stray-file"), "");
  expect(await prune()).toMatchObject({
    removed: [
      { vmId: "db-1", path: half, what: "a half-written record" },
      { path: doomed, what: "an interrupted removal" },
    ],
    kept: [{ vmId: "db-1" }],
  });
  expect(await there()).toEqual(["a-stray-file", "db-1"]);
  expect((await readdir(vmDir("db-1"))).filter((name) => !name.startsWith("lock."))).toEqual([
    "1",
    "record.json",
  ]);
});

describe("sockets in the temporary folder", () => {
  const vmId = vmWithSockets;
  const socket = join(sockets, "1.qmp.sock");
  const empty = shortSocketDir(`${vmId}-empty`);
  beforeEach(async () => {
    await mkdir(sockets);
    await writeFile(socket, "");
    await mkdir(empty);
  });
  afterEach(async () => {
    for (const folder of [sockets, empty]) await rm(folder, { recursive: true, force: true });
  });

  test("those of a VM that is gone are removed", async () => {
    const expected = { vmId, path: sockets, what: "sockets of a VM that is gone" };
    expect(await prune()).toEqual({ removed: [expected], kept: [] });
    await expect(readdir(sockets)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("those of a VM in another state folder are not, nor folders of something else", async () => {
    await processWith("-qmp", `unix:${socket},server=on`);
    expect(await prune()).toEqual(nothing);
    const ended = once(children[0]!, "exit");
    children[0]!.kill("SIGKILL");
    await ended;
    await writeFile(join(sockets, "notes"), "");
    expect(await prune()).toEqual(nothing);
    expect(await readdir(sockets)).toHaveLength(2);
    expect(await readdir(empty)).toEqual([]);
  });

  test.each<[string, () => Promise<unknown>]>([
    ["its record", () => record(vmId, {}, socket)],
    ["a damaged record", () => damaged(vmId)],
  ])("those of a VM that is over go with %s", async (_, make) => {
    await make();
    expect((await prune()).removed).toMatchObject([{ vmId, path: vmDir(vmId) }]);
    await expect(readdir(sockets)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

test("several at once remove everything once", async () => {
  const ids = Array.from({ length: 20 }, (_, i) => `db-${i}`);
  await Promise.all(ids.map((vmId) => record(vmId)));
  const doomed = join(vmsDir(), `${removedPrefix}db-99-12345678`);
  for (let i = 0; i < 50; i++) await mkdir(join(doomed, String(i), "deep"), { recursive: true });
  const reports = await Promise.all([1, 2, 3, 4].map(() => prune()));
  expect(reports.flatMap(({ kept }) => kept)).toEqual([]);
  const removed = reports.flatMap((report) => report.removed.flatMap(({ vmId }) => vmId ?? []));
  expect(removed.sort()).toEqual([...ids].sort());
  expect(await there()).toEqual([]);
}, 60_000);

test("a state folder that cannot be listed", async () => {
  await writeFile(vmsDir(), "");
  await expect(prune()).rejects.toMatchObject({ code: "Io" });
});
