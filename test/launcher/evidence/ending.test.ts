import { constants } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { classify } from "../../../src/launcher/evidence/classify.js";
import { readEnding } from "../../../src/launcher/evidence/ending.js";
import { formerConsole } from "../../../src/launcher/start/keeper.js";
import { generationFiles, type GenerationFiles } from "../../../src/launcher/record/vm-folder.js";

const reason = (number: number) => `qemu_system_shutdown_request reason=${number}`;
const shutDown = "runstate_set current_run_state 9 (running) new_state 11 (shutdown)";
const term = "qemu-system-x86_64: terminating on signal 15 from pid 4711 (bash)";
const panic = `[    0.337699] Initramfs unpacking failed: invalid magic at start of compressed archive
[    0.671444] /dev/root: Can't open blockdev
[    0.671934] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)
[    0.672161] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0-56-cloud-amd64 #1  Debian 6.1.192-2
[    0.672407] Call Trace:`;
const panicked =
  "the guest's kernel panicked (Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0); before it: " +
  "Initramfs unpacking failed: invalid magic at start of compressed archive; /dev/root: Can't open blockdev)";
const oops = `[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    1.1] #PF: supervisor write access in kernel mode
[    1.2] RIP: 0010:sysrq_handle_crash+0x16/0x20
[    1.3] ---[ end trace 0000000000000000 ]---
[    1.4] Kernel panic - not syncing: Fatal exception`;
// As Linux 6.18 wrote them, behind the keeper's mark, when a memory control group's limit, and when the host's own memory was too small.
const groupOom =
  "out of memory: Memory cgroup out of memory: Killed process 22668 (qemu-system-x86) total-vm:31956kB, anon-rss:29056kB";
const hostOom =
  "out of memory: Out of memory: Killed process 901 (qemu-system-x86) total-vm:9031956kB, anon-rss:7029056kB";

test.each([
  ["the guest's power-off", 0, reason(6), "reboot: Power down", "clean", "the guest powered off"],
  ["a power-off by one who printed of a panic", 0, reason(6), panic, "clean", "the guest powered off"],
  ["QMP's quit", 0, reason(2), "", "killed", "QEMU was ended through its monitor (quit)"],
  ["a power-off that quit overtook", 0, `${reason(6)}\n${reason(2)}`, "", "killed", /quit/],
  ["an error of the host", 0, reason(1), "", "crashed", /error of the host/],
  ["a guest's reset, of which nobody speaks", 0, shutDown, "", "reset", "the guest was reset without a word"],
  ["an end whose words were lost", 0, "", "", "unknown", "nothing tells how it ended"],
  ["a guest's reboot", 0, "", "[ 5.4] reboot: Restarting system", "reset", "the guest rebooted"],
  [
    "a power-off, where QEMU cannot trace",
    0,
    "",
    "[ 5.4] reboot: Power down",
    "clean",
    "the guest powered off",
  ],
  ["a panic, which exits like a power-off", 0, "", panic, "panic", panicked],
  ["a panic without a line before it", 0, "", "Kernel panic - not syncing: x", "panic", /\(.*syncing: x\)$/],
  [
    "a panic that an oops led to",
    0,
    "",
    oops,
    "panic",
    "the guest's kernel panicked (Kernel panic - not syncing: Fatal exception; before it: " +
      "BUG: kernel NULL pointer dereference, address: 0000000000000000)",
  ],
  [
    "a panic with endless words",
    0,
    "",
    `Kernel panic - not syncing: ${"x".repeat(999)}`,
    "panic",
    /x{130}\.\.\.\)$/,
  ],
  ["a panic that a pvpanic device told of", 0, reason(8), "", "panic", "the guest's kernel panicked"],
  ["a panic, such a device, its own exit status", 1, reason(8), "", "panic", "the guest's kernel panicked"],
  ["SIGTERM", 0, term, "", "killed", "QEMU was ended by SIGTERM from process 4711 (bash)"],
  ["Ctrl-C", 0, "qemu-system-x86_64: terminating on signal 2", "", "killed", "QEMU was ended by SIGINT"],
  ["SIGKILL", 137, "Killed", "", "killed", "QEMU was killed by SIGKILL"],
  [
    "SIGKILL of a guest that hung in a panic",
    137,
    "Killed",
    panic,
    "killed",
    /SIGKILL, after the guest's kernel panicked/,
  ],
  ["SIGTERM before QEMU handled it", 143, "", "", "killed", "QEMU was killed by SIGTERM"],
  [
    "too little memory in a control group",
    137,
    `Killed\n${groupOom}`,
    "",
    "outOfMemory",
    /out of memory, killed QEMU \(Memory cgroup/,
  ],
  [
    "too little memory in the host",
    137,
    hostOom,
    "",
    "outOfMemory",
    /killed QEMU \(Out of memory: Killed process 901/,
  ],
  [
    "an older kernel's words",
    137,
    "out of memory: Killed process 901 (qemu-system-x86) total-vm:9kB",
    "",
    "outOfMemory",
    /process 901/,
  ],
  [
    "a count alone",
    137,
    "perhaps out of memory: oom_kill 0, then oom_kill 1 in QEMU's control group",
    "",
    "killed",
    "QEMU was killed by SIGKILL, perhaps by the host for want of memory (oom_kill 0, then oom_kill 1 in QEMU's control group)",
  ],
  ["QEMU's own words of memory", 137, "qemu: Out of memory: 9", "", "killed", "QEMU was killed by SIGKILL"],
  [
    "memory that QEMU itself missed",
    1,
    "qemu: cannot set up guest memory: Out of memory: 9",
    "",
    "crashed",
    /status 1 \(qemu: cannot/,
  ],
  [
    "KVM's abort",
    134,
    "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\nAborted (core dumped)",
    "",
    "crashed",
    "QEMU crashed with SIGABRT (qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69)",
  ],
  [
    "bash in the shell's place",
    139,
    "/bin/sh: line 20:  9 Segmentation fault  qemu",
    "",
    "crashed",
    "QEMU crashed with SIGSEGV",
  ],
  ["a crash on the way out", 139, reason(6), "reboot: Power down", "crashed", "QEMU crashed with SIGSEGV"],
  ["the sandbox", 159, "Bad system call", "", "crashed", "QEMU crashed with SIGSYS"],
  ["a signal without a name", 128 + 99, "", "", "crashed", "QEMU crashed with signal 99"],
  [
    "an argument it refused",
    1,
    "qemu: -x: invalid option",
    "",
    "crashed",
    "QEMU exited with status 1 (qemu: -x: invalid option)",
  ],
  ["a binary that cannot be run", 127, "", "", "crashed", "QEMU exited with status 127"],
  ["nobody there to see", undefined, "", "", "unknown", "nothing tells how it ended"],
  ["nobody but QEMU itself", undefined, reason(6), "", "clean", "the guest powered off"],
  ["nobody but QEMU itself, of a signal", undefined, term, "", "killed", /SIGTERM/],
  ["nobody but the guest", undefined, "", panic, "panic", panicked],
])("%s", (_, code, stderr, console, how, detail) =>
  expect(classify({ code, stderr, console })).toEqual({
    how,
    detail: typeof detail === "string" ? detail : (expect.stringMatching(detail) as string),
  }),
);

describe("from the files", () => {
  let files: GenerationFiles;
  beforeEach(async () => {
    const dir = await mkdtemp(join(tmpdir(), "ending-"));
    const names = Object.entries(generationFiles("vm-1", 1)).map(([key, path]) => [
      key,
      join(dir, path.split("/").at(-1)!),
    ]);
    files = { ...(Object.fromEntries(names) as GenerationFiles), dir };
  });
  afterEach(() => rm(files.dir, { recursive: true }));

  test("a panic whose words lie in the console's former file", async () => {
    await writeFile(files.exitStatus, "0\n");
    await writeFile(formerConsole(files.console), `${"flood\n".repeat(9999)}${panic}\n`);
    await writeFile(files.console, "[    0.7]  </TASK>\n");
    expect(await readEnding(files)).toEqual({ how: "panic", code: 0, detail: panicked });
  });

  test("a status that comes late is waited for while its keeper is there", async () => {
    await execa("mkfifo", [files.consolePipe]);
    const keeper = await open(files.consolePipe, constants.O_RDONLY | constants.O_NONBLOCK);
    const reading = readEnding(files);
    await sleep(1000);
    await writeFile(files.stderr, `${reason(6)}\n`);
    await writeFile(files.exitStatus, "0\n");
    await keeper.close();
    expect(await reading).toEqual({ how: "clean", code: 0, detail: "the guest powered off" });
  });

  test("a keeper that was killed leaves its pipe, and no status to wait for", async () => {
    await execa("mkfifo", [files.consolePipe]);
    expect(await readEnding(files)).toEqual({ how: "unknown", detail: "nothing tells how it ended" });
  });

  test("no file at all", async () =>
    expect(await readEnding(files)).toEqual({ how: "unknown", detail: "nothing tells how it ended" }));
});
