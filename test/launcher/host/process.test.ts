import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  cpuSeconds,
  findVmProcess,
  hostBootId,
  isAlive,
  isStopped,
  processWith,
  signalVm,
  vmProcessesBelow,
  waitGone,
} from "../../../src/launcher/host/process.js";
import { eventually } from "../../support/wait.js";

const uuid = randomUUID();
const other = randomUUID();
const children: ChildProcess[] = [];
let dir: string;
let pidFile: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "process-"));
  pidFile = join(dir, "pid");
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(dir, { recursive: true });
});

/** A process with these words on its command line that does nothing. */
async function idle(...words: string[]): Promise<number> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1e6)", "--", ...words], {
    stdio: "ignore",
  });
  children.push(child);
  await once(child, "spawn");
  await eventually(async () =>
    (await readFile(`/proc/${child.pid}/cmdline`, "utf8")).endsWith(`${words.at(-1)}\0`),
  );
  return child.pid!;
}

test("a VM's process is the one with its uuid, named by the pid file or found without it", async () => {
  const pid = await idle("-name", "db", "-uuid", uuid);
  expect(await findVmProcess({ uuid }, pidFile)).toMatchObject({ pid, uuid });
  await writeFile(pidFile, `${pid}\n`);
  expect(await findVmProcess({ uuid }, pidFile)).toMatchObject({ pid, uuid });
  expect(await findVmProcess({ uuid: other }, pidFile)).toBeUndefined();
});

test("a process that the record names is the VM by its start time, uuid and the host's boot together", async () => {
  const pid = await idle("-uuid", uuid);
  const { startTicks, bootId } = processWith(pid)!;
  const known = { uuid, pid, startTicks, hostBootId: bootId };
  expect(await findVmProcess(known, pidFile)).toEqual({ uuid, pid, startTicks, bootId });
  expect(await findVmProcess({ ...known, startTicks: "1" }, pidFile)).toBeUndefined();
  expect(await findVmProcess({ ...known, uuid: other }, pidFile)).toBeUndefined();
  // Of another boot nothing runs any more, whatever has the pid today.
  expect(await findVmProcess({ ...known, hostBootId: randomUUID() }, pidFile)).toBeUndefined();
  expect(isAlive({ pid, startTicks, bootId: randomUUID() })).toBe(false);
});

test("a pid that another process has by now is not the VM, and is never signalled", async () => {
  const stranger = await idle("-uuid", other);
  await writeFile(pidFile, `${stranger}\n`);
  expect(await findVmProcess({ uuid }, pidFile)).toBeUndefined();
  const now = processWith(stranger)!;
  signalVm({ ...now, uuid }, "SIGKILL");
  signalVm({ ...now, uuid: other, startTicks: "1" }, "SIGKILL");
  expect(isAlive(now)).toBe(true);
});

test("a process that is stopped is alive, and is told from one that runs", async () => {
  const pid = await idle("-uuid", uuid);
  const vm = (await findVmProcess({ uuid }, pidFile))!;
  expect(isStopped(vm)).toBe(false);
  process.kill(pid, "SIGSTOP");
  await eventually(() => isStopped(vm));
  expect(isAlive(vm)).toBe(true);
  signalVm(vm, "SIGCONT");
  await eventually(() => !isStopped(vm));
});

test("processor time is counted in seconds", () => {
  const own = processWith(process.pid)!;
  const { user, system } = process.cpuUsage();
  expect(cpuSeconds(own)).toBeCloseTo((user + system) / 1e6, 0);
  expect(own.bootId).toBe(hostBootId());
});

test("a VM is not taken for gone by whoever has no file descriptor left to look", async () => {
  const pid = await idle("-uuid", uuid);
  const known = { uuid, ...processWith(pid)! };
  const program = `
    import { openSync } from "node:fs";
    import { findVmProcess, isAlive } from ${JSON.stringify(resolve("src/launcher/host/process.ts"))};
    const known = ${JSON.stringify(known)};
    const looks = [() => isAlive(known), () => findVmProcess(known, ""), () => findVmProcess({ uuid: known.uuid }, "")];
    const all = async () => await Promise.all(looks.map(async (look) => {
      try { return Boolean(await look()); } catch (error) { return error.code; }
    }));
    const before = await all();
    try { for (;;) openSync("/dev/null"); } catch {}
    console.log(JSON.stringify([before, await all()]));`;
  const limited = ["-c", 'ulimit -n 100; exec "$@"', "sh", process.execPath, "--import", "tsx"];
  const child = spawn("/bin/sh", [...limited, "--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  children.push(child);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  expect(JSON.parse(line.toString())).toEqual([
    [true, true, true],
    ["Io", "Io", "Io"],
  ]);
}, 60_000);

test("what runs below a folder is found by whichever of its names, also when the folder is gone", async () => {
  const [real, link] = [join(dir, "real"), join(dir, "link")];
  await mkdir(real);
  await symlink(real, link);
  const pid = await idle("-pidfile", join(link, "db-1/1/qemu.pid"), "-uuid", uuid);
  for (const folder of [real, link, join(real, "db-1")])
    expect(await vmProcessesBelow(folder)).toMatchObject([
      { pid, uuid, pidFile: join(real, "db-1/1/qemu.pid") },
    ]);
  expect(await vmProcessesBelow(join(real, "db"))).toEqual([]);
});

test("the uuid elsewhere on a command line proves nothing", async () => {
  await idle("-name", uuid);
  await idle(uuid);
  expect(await findVmProcess({ uuid }, pidFile)).toBeUndefined();
});

test("the shell that keeps QEMU's exit status is not the VM", async () => {
  const shell = spawn("/bin/sh", [
    "-c",
    '"$@"; true',
    "keeper",
    process.execPath,
    "-e",
    "setInterval(() => {}, 1e6)",
    "--",
    "-uuid",
    uuid,
  ]);
  children.push(shell);
  const { pid } = await eventually(() => findVmProcess({ uuid }, pidFile));
  expect(pid).not.toBe(shell.pid);
  process.kill(pid, "SIGKILL");
  await once(shell, "exit");
});

test("a signal ends the VM, and its end is seen", async () => {
  await idle("-uuid", uuid);
  const vm = (await findVmProcess({ uuid }, pidFile))!;
  expect(await waitGone(vm, 30)).toBe(false);
  signalVm(vm, "SIGTERM");
  expect(await waitGone(vm, 5000)).toBe(true);
  // It is gone: no error.
  signalVm(vm, "SIGKILL");
});

test("one that closes its connection is waited for until it is gone, or the time is over", async () => {
  const vm = processWith(await idle("-uuid", uuid))!;
  expect(await waitGone(vm, 30, Promise.resolve())).toBe(false);
  // It never closes it, and goes all the same.
  const gone = waitGone(vm, 5000, new Promise(() => {}));
  process.kill(vm.pid);
  expect(await gone).toBe(true);
});

test("a zombie is dead", async () => {
  // The parent never waits for its child, which ends only then: `exec` puts a program in the shell's place that knows of none.
  const script = "until grep -q sleep /proc/$$/comm; do sleep 0.01; done & echo $!; exec sleep 1000";
  const parent = spawn("/bin/sh", ["-c", script], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  children.push(parent);
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const zombie = Number.parseInt(line.toString(), 10);
  await eventually(async () => /\) Z /.test(await readFile(`/proc/${zombie}/stat`, "utf8")));
  expect(processWith(zombie)).toBeUndefined();
});

test("a pid file with no number in it, or none, is no VM", async () => {
  await writeFile(pidFile, "not a pid");
  expect(await findVmProcess({ uuid }, pidFile)).toBeUndefined();
  expect(processWith(2 ** 22 + 1)).toBeUndefined();
});
