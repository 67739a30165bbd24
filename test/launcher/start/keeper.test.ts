/** The shell above QEMU, with other programs in QEMU's place: they write to the console's pipe and end as they are told. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readEnding } from "../../../src/launcher/evidence/ending.js";
import {
  consoleFileBytes,
  formerConsole,
  keeper,
  logTime,
  outOfMemoryKills,
  wordsBytes,
} from "../../../src/launcher/start/keeper.js";
import type { GenerationFiles } from "../../../src/launcher/record/vm-folder.js";
import { processesNaming, processesStaying } from "../../../tools/leftovers.js";
import { makeMemoryGroup, testOutOfMemory } from "../../support/memory-group.js";
import { eventually } from "../../support/wait.js";

let dir: string;
let at: (name: string) => string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "keeper 'a' "));
  at = (name) => join(dir, name);
});
afterEach(async () => {
  expect(await processesStaying(dir)).toEqual([]);
  await rm(dir, { recursive: true, force: true });
});

/** Starts the keeper over a script, which finds the pipe's path in $0; `since` is the log's time. */
function keep(script: string, before = "", since = "0"): ChildProcess {
  const kept = ["exit-status", "qemu.stderr", "console.log", "ready"];
  const names = [...kept, "stderr.pipe", "console.pipe", "ready.pipe", "qemu.pid"];
  const program = ["/bin/sh", "-c", script, at("console.pipe")];
  return spawn("/bin/sh", ["-c", before + keeper, ...names.map(at), since, ...program], { stdio: "ignore" });
}

async function ended(process: ChildProcess): Promise<string> {
  if (process.exitCode === null && process.signalCode === null) await once(process, "exit");
  return await text("exit-status");
}

const text = async (name: string): Promise<string> => await readFile(at(name), "utf8");

/** More than both files hold. */
const flood = 'seq 4000000 >"$0"';

/** Has the script wait until `go` is called. */
const waiting = 'until test -e "$0.go"; do sleep 0.02; done; ';
const go = async (): Promise<void> => await writeFile(at("console.pipe.go"), "");

test("the exit status stands beside a complete console, and the pipe goes", async () => {
  expect(await ended(keep('echo "last words" >"$0"; echo oops >&2; exit 7'))).toBe("7\n");
  expect(await text("console.log")).toBe("last words\n");
  expect(await text("qemu.stderr")).toBe("oops\n");
  expect(existsSync(at("console.pipe"))).toBe(false);
});

test("one that never opens its console leaves nobody waiting", async () => {
  expect(await ended(keep("exit 1"))).toBe("1\n");
  expect(await text("console.log")).toBe("");
});

test("a child that the program leaves behind holds nobody up, and may go on talking", async () => {
  const script = `{ ${waiting} echo late >&2; } & echo "last words" >"$0"; echo oops >&2; exit 7`;
  expect(await ended(keep(script))).toBe("7\n");
  expect([await text("console.log"), await text("qemu.stderr")]).toEqual(["last words\n", "oops\n"]);
  await go();
  await eventually(async () => (await text("qemu.stderr")) === "oops\nlate\n");
});

test("whoever asks how it ended before the status is written waits for it", async () => {
  // The child holds the keeper up a while.
  const keeping = keep(`{ ${waiting} } & echo $$ >"$0"; exit 7`);
  const pid = async () => Number(await text("console.log").catch(() => 0));
  await eventually(async () => (await pid()) > 0);
  await eventually(async () => !existsSync(`/proc/${await pid()}`));
  const files = { exitStatus: at("exit-status"), consolePipe: at("console.pipe") } as GenerationFiles;
  expect(await readEnding({ ...files, stderr: at("qemu.stderr"), console: at("console.log") })).toMatchObject(
    { code: 7 },
  );
  await go();
  await ended(keeping);
});

test("a console of single bytes is kept whole, and each is there at once", async () => {
  const keeping = keep(`printf a >"$0"; ${waiting} dd if=/dev/zero bs=1 count=20000 2>/dev/null >"$0"`);
  await eventually(async () => (await text("console.log").catch(() => "")) === "a");
  await go();
  expect(await ended(keeping)).toBe("0\n");
  expect((await stat(at("console.log"))).size).toBe(20_001);
});

test("of a flood two files of bounded size are kept, to the last line and without a gap", async () => {
  expect(await ended(keep(flood))).toBe("0\n");
  const [former, current] = [await text(formerConsole("console.log")), await text("console.log")];
  expect(former.length).toBeGreaterThanOrEqual(consoleFileBytes);
  expect(former.length).toBeLessThan(2 * consoleFileBytes);
  expect(current.length).toBeLessThan(2 * consoleFileBytes);
  const lines = (former + current).split("\n").slice(1, -1).map(Number);
  expect(lines.at(-1)).toBe(4_000_000);
  expect(lines.findIndex((line, index) => index > 0 && line !== lines[index - 1]! + 1)).toBe(-1);
});

test("what the program itself says is kept in two files of bounded size, to the last line", async () => {
  expect(await ended(keep("seq 4000000 >&2; seq 4000001 4000002"))).toBe("0\n");
  const said = (await text("qemu.stderr.1")) + (await text("qemu.stderr"));
  expect(said).toMatch(/\n3999999\n4000000\n4000001\n4000002\n$/);
  expect(said.length).toBeLessThan(4 * consoleFileBytes);
});

test("of the guest's channel the first words are kept, and what follows holds nobody up", async () => {
  expect(await ended(keep('seq 4000000 >"${0%console.pipe}ready.pipe"; exit 3'))).toBe("3\n");
  expect(await text("ready")).toMatch(/^1\n2\n3\n/);
  expect((await stat(at("ready"))).size).toBeLessThanOrEqual(wordsBytes);
});

test("what the disk does not take is swallowed, and the program comes to its end", async () => {
  // No file may become larger than one block of 512 bytes.
  expect(await ended(keep(`${flood}; exit 3`, "ulimit -f 1\n"))).toBe("3\n");
  expect((await stat(at("console.log"))).size).toBe(512);
});

test("a folder that was removed keeps no program from its end", async () => {
  const keeping = keep(`exec >"$0"; until test ! -e "$0"; do sleep 0.02; done; seq 4000000`);
  await eventually(() => existsSync(at("console.log")));
  await rm(dir, { recursive: true, maxRetries: 20, retryDelay: 50 });
  await once(keeping, "exit");
  expect(existsSync(dir)).toBe(false);
});

test("when the keeper is killed, the console is read to its end", async () => {
  const keeping = keep(`exec >"$0"; echo first; ${waiting} echo last`);
  await eventually(async () => (await text("console.log").catch(() => "")) !== "");
  keeping.kill("SIGKILL");
  await once(keeping, "exit");
  await go();
  await eventually(async () => (await text("console.log")) === "first\nlast\n");
});

test("when the reader is killed, the program does not stand still", async () => {
  const keeping = keep(`${waiting} ${flood}; exit 3`);
  await eventually(() => existsSync(at("console.log")));
  const argv = await readFile(`/proc/${keeping.pid}/cmdline`);
  for (const pid of await processesNaming(dir)) {
    // Some are through by now.
    const same = argv.equals(await readFile(`/proc/${pid}/cmdline`).catch(() => Buffer.alloc(0)));
    if (same && pid !== keeping.pid) process.kill(pid, "SIGKILL");
  }
  await go();
  expect(await ended(keeping)).toBe("3\n");
});

/** Stands before the keeper: whatever is called by that name does this. */
async function inPlaceOf(command: string, script: string): Promise<void> {
  await writeFile(at(command), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}
const found = 'PATH=$(dirname "$0"):$PATH\n';

testOutOfMemory(
  "where the kernel's log is closed, the control group's count tells of a kill, perhaps this one",
  async () => {
    using group = makeMemoryGroup("microvm-test-keeper", 20_000_000);
    await inPlaceOf("dmesg", "exit 1");
    const inside = `echo $$ >${group.path}/cgroup.procs; ${found}`;
    expect(await ended(keep("exec tail /dev/zero", inside))).toBe("137\n");
    expect(await text("qemu.stderr")).toMatch(
      /^perhaps out of memory: oom_kill 0, then oom_kill 1 in QEMU's control group$/m,
    );
  },
);

const namespace = (inode: number) => `echo "pid:[${inode}]"`;
test.each([
  [
    "since its start",
    { stamp: "  100.000002", inode: 4026531836 },
    /^out of memory: Killed process \d+ \(qemu\)$/m,
  ],
  ["of a namesake before it", { stamp: "   99.999999", inode: 4026531836 }, undefined],
  ["of another namespace's process", { stamp: "  100.000002", inode: 4026532999 }, undefined],
])("of an out-of-memory kill the kernel's log tells by a line %s", async (_, { stamp, inode }, told) => {
  await inPlaceOf("readlink", namespace(inode));
  const line = `echo "[${stamp}] Killed process $(cat "$here/qemu.pid") (qemu)"`;
  await inPlaceOf("dmesg", `here=$(dirname "$0")\n${line}`);
  await ended(keep('echo $$ >"${0%console.pipe}qemu.pid"; kill -9 $$', found, "100.000001"));
  const said = await text("qemu.stderr");
  if (told) expect(said).toMatch(told);
  else expect(said).not.toMatch(/memory/);
});

test.each([
  ["v2", "0::/a b.slice/vm:1.scope", "a b.slice/vm:1.scope/memory.events", "oom_kill 2\n"],
  ["v1", "4:cpu,cpuacct:/box\n5:memory:/box\n0::/", "memory/box/memory.oom_control", "oom_kill 2\n"],
  ["of another controller", "5:memory,cpu:/box", "memory/box/memory.oom_control", ""],
  ["without the file", "0::/box", "elsewhere", ""],
])("kills for want of memory are counted in a control group %s", async (_, groups, file, told) => {
  await mkdir(dirname(at(file)), { recursive: true });
  await writeFile(at(file), "low 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 1\n");
  await writeFile(at("groups"), `${groups}\n`);
  const here = outOfMemoryKills
    .replaceAll("/sys/fs/cgroup", '"$root"')
    .replace("/proc/self/cgroup", '"$root/groups"');
  const counted = execFileSync("/bin/sh", ["-euc", `${here}\nkills`], { env: { root: dir } });
  expect(counted.toString()).toBe(told);
});

test("the time that the kernel's log is asked from is before now, by little", () => {
  const now = Number(process.hrtime.bigint()) / 1e9;
  const ago = now - Number(logTime());
  expect(ago).toBeGreaterThan(0);
  expect(ago).toBeLessThan(60 + now / 1000);
});

test("a SIGKILL by anybody else leaves no such word", async () => {
  expect(await ended(keep("kill -9 $$"))).toBe("137\n");
  expect(await text("qemu.stderr")).not.toMatch(/memory/);
});
