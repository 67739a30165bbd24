/** The command with real VMs. */
import { stat } from "node:fs/promises";
import { execa, type ExecaError } from "execa";
import { printable } from "../../src/launcher/evidence/console.js";
import { listRecords, updateVm, type VmStatus } from "../../src/launcher/index.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { untold } from "../support/docs.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually } from "../support/wait.js";
import { command, json, microvm, outcomeOf, root, start, told } from "./command.js";
import { errorIn } from "./outcome.js";

privateState();
const vector = JSON.stringify(sampleQuery(1));
let rvfPath: string;
beforeAll(async () => (rvfPath = await sampleRvf()));

/** A shell's line in which `$microvm` stands for the command; fails as the shell does. */
const shell = async (line: string) =>
  await execa("bash", ["-c", `set -o pipefail; ${line}`], {
    cwd: root,
    env: { microvm: command.join(" ") },
  });

describe("a VM in the background", () => {
  let vm: VmStatus;
  beforeAll(async () => (vm = await json("run", rvfPath, "-d", "--name", "shop", "-p", "0", "-m", "160")));

  test("run -d has printed it as JSON", () =>
    expect(vm).toMatchObject({
      name: "shop",
      state: "running",
      url: `http://127.0.0.1:${vm.boundApiPort}`,
      pid: expect.any(Number) as number,
      spec: { rvfPath, memoryMb: 160 },
    }));

  test("docs/command.md tells of each of its fields", async () =>
    expect(await untold(vm, "`run`, `status` and `ls`")).toEqual([]));

  test("ls and status show it", async () => {
    const [list, table, words] = await Promise.all([
      json<VmStatus[]>("ls"),
      microvm("ls"),
      microvm("status", vm.vmId),
    ]);
    expect(list).toEqual([vm]);
    expect(await json("status", "shop")).toEqual(vm);
    const [head, row] = table.stdout.split("\n");
    expect(head).toMatch(/^ID +NAME +STATUS +PID +URL +MEMORY +STACK$/);
    expect(row).toMatch(new RegExp(`^${vm.vmId} +shop +running +${vm.pid} +${vm.url} +160 MiB +-$`));
    expect(words.stdout).toMatch(/^status: +running$/m);
    expect(words.stdout).toMatch(/^name: +shop$/m);
    expect(words.stdout).toContain(vm.acceleratorReason);
  });

  test("another of its name is warned of, and one for its port refused", async () => {
    const { status, stderr } = await microvm("run", rvfPath, "--name", "shop", "-p", String(vm.boundApiPort));
    expect(status).toBe(1);
    expect(stderr).toContain(`warning: shop is also the name of ${vm.vmId}; tell them apart by their ids`);
    expect(stderr).toContain(`is taken by the VM ${vm.vmId} `);
  });

  test("prune leaves it alone", async () => {
    expect(await json("prune", "--all")).toMatchObject({ kept: [] });
    expect(await json("status", "shop")).toEqual(vm);
  });

  test("query by name and by URL finds the same", async () => {
    const ask = (target: string) => json<unknown[]>("query", target, "--vector", vector, "-k", "3");
    const [byName, byUrl, words] = await Promise.all([
      ask("shop"),
      ask(`${vm.url}/`),
      microvm("query", vm.vmId, "-v", vector, "-k", "2"),
    ]);
    expect(byName).toHaveLength(3);
    expect(byUrl).toEqual(byName);
    expect(words.stdout).toMatch(/^ID +DISTANCE\n\d+ +[\d.]+\n\d+ +[\d.]+$/);
  });

  test("what the guest refuses", async () => {
    const outcome = await microvm("query", "shop", "--vector", "[1,2]", "--json");
    expect(outcome).toMatchObject({ status: 1, stdout: "" });
    expect(errorIn(outcome)).toMatchObject({
      code: "GuestHttp",
      message: expect.stringMatching(
        /: 400 the query has 2 numbers, the store's vectors have \d+$/,
      ) as string,
    });
  });

  test("logs prints the console, and into a pipe whose reader goes away without a word", async () => {
    const { stdout } = await microvm("logs", "shop");
    expect(stdout.length).toBeGreaterThan((await stat(vm.consoleLog)).size / 2);
    const piped = await Promise.all([shell("$microvm logs shop | head -1"), shell("$microvm ls | true")]);
    expect(piped.map(({ stderr }) => stderr)).toEqual(["", ""]);
  });

  test("logs -f tells what /init says, goes on over a relaunch and ends with the VM; stop powers it down, and nothing is left", async () => {
    const follower = start("logs", "-f", "shop");
    let seen = "";
    follower.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    for (const line of ["microvm: started", "microvm: serving 3000 vectors of 32 dimensions on 0.0.0.0:8080"])
      await eventually(() => printable(seen).includes(line));
    const { consoleLog } = await updateVm(vm.vmId, { ...vm.spec, memoryMb: 192 });
    expect(consoleLog).not.toBe(vm.consoleLog);
    await eventually(() => seen.split("Linux version").length === 3);
    const report = await json("stop", "shop");
    expect(report).toMatchObject({ vmId: vm.vmId, rung: "powerdown" });
    expect(await untold(report, "`stop` and `kill`")).toEqual([]);
    expect(await outcomeOf(follower)).toMatchObject({ status: 0, stderr: "" });
    // The guest's last words, written while it powers down.
    expect(seen).toContain("reboot: Power down");
    expect(await leftovers([vm.vmId])).toEqual([]);
  });
});

test.each([
  ["Ctrl-C", "SIGINT"],
  ["its terminal is closed", "SIGHUP"],
] as const)("a VM in the foreground answers until %s: powered down, nothing left", async (_, signal) => {
  const running = start("run", rvfPath, "-p", "0");
  await told(running, "Ctrl-C stops it.");
  const [record] = await listRecords();
  expect(record?.phase).toBe("ready");
  running.kill(signal);
  const { status, stdout, stderr } = await outcomeOf(running);
  expect(stderr).toMatch(/powered off by its guest \(powerdown\) after \d+ ms$/);
  expect(stdout).toMatch(/^status: +running$/m);
  expect(status).toBe(0);
  expect(await leftovers([record!.vmId])).toEqual([]);
});

test("kill from elsewhere ends a VM in the foreground, which then fails", async () => {
  const running = start("run", rvfPath, "-p", "0", "--json");
  await told(running, "Ctrl-C stops it.");
  const { vmId } = (await listRecords())[0]!;
  expect(await microvm("kill", vmId)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(
      /killed by SIGKILL \(sigkill\) after \d+ ms; its files are removed$/,
    ) as string,
  });
  const outcome = await outcomeOf(running);
  expect(outcome.status).toBe(1);
  expect(JSON.parse(outcome.stdout)).toMatchObject({ vmId });
  expect(errorIn(outcome)).toMatchObject({
    code: "VmNotRunning",
    message: `${vmId} was stopped by another command`,
  });
  expect(await leftovers([vmId])).toEqual([]);
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s during the boot leaves nothing", async (signal, status) => {
  const running = start("run", rvfPath, "-p", "0", "--json");
  await told(running, "waiting for the guest");
  running.kill(signal);
  const outcome = await outcomeOf(running);
  expect(outcome).toMatchObject({ status, stdout: "" });
  expect(errorIn(outcome)).toMatchObject({ code: "Cancelled" });
  expect(await leftovers()).toEqual([]);
});

test("a VM in the foreground whose output nobody reads any more still stops when told to", async () => {
  const running = start("run", rvfPath, "-p", "0");
  await told(running, "waiting for the guest");
  running.stdout.destroy();
  running.stderr.destroy();
  await eventually(async () => (await listRecords())[0]?.phase === "ready");
  running.kill("SIGINT");
  // The record is ready a moment before the launch returns; until then the launch itself is called off.
  expect([0, 130]).toContain((await outcomeOf(running)).status);
  expect(await leftovers()).toEqual([]);
});

test("dry-run shows the command and starts nothing", async () => {
  const args = ["dry-run", rvfPath, "-p", "9000", "--no-kvm", "--extra-args=-d", "--extra-args=int"];
  const [words, plan] = await Promise.all([microvm(...args), json<{ argv: string[] }>(...args)]);
  expect(plan).toMatchObject({ accelerator: "tcg", vcpus: 1, memoryMb: 128, apiPort: 9000 });
  expect(plan.argv.slice(-2)).toEqual(["-d", "int"]);
  expect(await untold(plan, "`dry-run`")).toEqual([]);
  // The first line can be pasted into a shell as it is.
  const { stdout } = await shell(`printf '%s\\n' ${words.stdout.split("\n")[0]}`);
  expect(stdout.split("\n")).toEqual(plan.argv);
  for (const line of ["KVM: +no \\(TCG\\)", "Memory: +128 MiB", "vCPUs: +1", "API port: +9000"])
    expect(words.stdout).toMatch(new RegExp(`^${line}$`, "m"));
  expect(await leftovers()).toEqual([]);
});

test.each([
  ["ls", "Io: standard output cannot be written: ENOSPC"],
  ["ls --json", '{"error":{"code":"Io","message":"standard output cannot be written: ENOSPC'],
  ["--version", "Io: standard output cannot be written: ENOSPC"],
  ["status nobody", "VmNotFound: there is no VM nobody"],
])("%s on a full disk fails in words", async (args, words) => {
  const outcome = await shell(`$microvm ${args} >/dev/full`).catch((error: ExecaError) => error);
  expect(outcome).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(`^${words}`) as string });
  expect(outcome.stderr).not.toContain("    at ");
});

test("on a terminal a failure's code is red, unless NO_COLOR says otherwise", async () => {
  // The terminal is the test's own: neither CI's TERM nor a NO_COLOR around it may decide.
  const onTerminal = async (setting: string) =>
    (
      await shell(
        `script -qec "env -u NO_COLOR -u NODE_DISABLE_COLORS -u FORCE_COLOR -u CI TERM=xterm ${setting} $microvm status nobody" /dev/null || true`,
      )
    ).stdout;
  expect(await onTerminal("")).toContain("\u001B[31mVmNotFound\u001B[39m: there is no VM nobody");
  expect(await onTerminal("NO_COLOR=1")).toMatch(/^VmNotFound: there is no VM nobody/);
});

test("check tells what this host has", async () => {
  const [words, report] = await Promise.all([microvm("check"), json("check")]);
  expect(words.stdout).toMatch(/^QEMU: +found at \/.+\nVersion: +\d+\.\d+(.+\n)+KVM: +\S/);
  expect(report).toMatchObject({
    arch: "x86_64",
    qemu: {
      machines: expect.arrayContaining(["microvm"]) as string[],
      version: expect.any(String) as string,
    },
    problems: [],
  });
});
