/** The report on this host, with programs in QEMU's place: whatever they do, there is a report and a text for it. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rememberKvm, verdictFolder } from "../../../src/launcher/host/kvm-verdict.js";
import {
  checkRequirements,
  describeRequirements,
  type RequirementsReport,
} from "../../../src/launcher/host/requirements.js";

const path = process.env["PATH"];
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "requirements-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
  process.env["PATH"] = `${dir}:${path}`;
});
afterEach(async () => {
  process.env["PATH"] = path;
  await rm(dir, { recursive: true });
});

/** A program that is found before every real QEMU. */
async function qemu(arch: string, script: string): Promise<string> {
  const file = join(dir, `qemu-system-${arch}`);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

const answering = (machine: string) => `case "$1" in
-version) echo "QEMU emulator version 9.1.0" ;;
-machine) printf 'Supported machines are:\\n${machine} what it is\\nq35 Standard PC\\n' ;;
-accel) printf 'Accelerators supported in QEMU binary:\\ntcg\\nkvm\\n' ;;
esac`;

const linux = { platform: "linux", arch: "x64" } as const;

test.each([
  ["x86_64", "microvm"],
  ["aarch64", "virt"],
  ["riscv64", "virt"],
] as const)("a whole QEMU for %s: where it is and what it has", async (arch, machine) => {
  const qemuPath = await qemu(arch, answering(machine));
  const report = await checkRequirements(arch, linux);
  expect(report).toMatchObject({
    arch,
    machine,
    qemuPath,
    qemu: { version: "9.1.0", machines: [machine, "q35"], accelerators: ["tcg", "kvm"] },
    problems: [],
    installHint: expect.stringMatching(/./) as string,
  });
  expect(describeRequirements(report).split("\n")).toEqual(
    expect.arrayContaining([
      `QEMU:         found at ${qemuPath}`,
      "Version:      9.1.0",
      `Machine:      ${machine} is one of its 2`,
      "Accelerators: tcg, kvm (as built)",
    ]),
  );
});

test.each([
  ["says something else", "echo hello", /its -version says hello$/],
  ["fails", "exit 3", /exit code 3/],
  ["crashes", "kill -SEGV $$", /SIGSEGV/],
  ["prints without end", "exec yes", /larger than/],
])("a QEMU that %s is a report, not a crash", async (_, script, words) => {
  const qemuPath = await qemu("x86_64", script);
  const report = await checkRequirements("x86_64", linux);
  expect(report).toMatchObject({
    qemuPath,
    problems: [{ code: "QemuSpawn", message: expect.stringMatching(words) as string }],
  });
  expect(report.qemu).toBeUndefined();
  expect(describeRequirements(report)).toMatch(
    /^QEMU: +found at \/.+, which does NOT ANSWER like a QEMU\nKVM: /,
  );
});

test("a build without the machine is named, with the line that installs a full one", async () => {
  await qemu("x86_64", answering("pc"));
  const report = await checkRequirements("x86_64", linux);
  expect(report.problems).toMatchObject([
    { code: "QemuNotFound", hint: expect.stringContaining(report.installHint) as string },
  ]);
  expect(describeRequirements(report)).toMatch(/^Machine: +microvm is MISSING out of its 2$/m);
});

test("what a boot has shown of KVM is told, and how it is forgotten", async () => {
  const binary = await qemu("x86_64", answering("microvm"));
  const before = await checkRequirements("x86_64", linux);
  await rememberKvm({ binary }, "x86_64", { works: false, reason: "QEMU aborted" });
  const { kvm } = await checkRequirements("x86_64", linux);
  if (before.kvm.state === "unavailable") return expect(kvm).toEqual(before.kvm);
  expect(before.kvm.state).toBe("untried");
  expect(kvm.state).toBe("failed");
  expect(kvm.reason).toContain("QEMU aborted");
  expect(kvm.reason).toContain(`${verdictFolder()} is removed`);
});

test("a Mac has its own line, and no launch", async () => {
  const report = await checkRequirements("aarch64", { platform: "darwin", arch: "arm64" });
  expect(report.problems[0]).toMatchObject({ code: "HostUnsupported" });
  expect(report).toMatchObject({ installHint: "brew install qemu", kvm: { state: "unavailable" } });
  expect(describeRequirements(report)).toMatch(
    /^Host: +VMs run on Linux on x86-64 only, this is darwin arm64\n/,
  );
});

describe("in words", () => {
  const report: RequirementsReport = {
    arch: "riscv64",
    machine: "virt",
    kvm: { state: "unavailable", reason: "there is no /dev/kvm", hint: "Load the module." },
    problems: [{ code: "QemuNotFound", message: "qemu-system-riscv64 was not found" }],
    installHint: "sudo apt-get install qemu-system-misc",
  };

  test("without QEMU", () =>
    expect(describeRequirements(report).split("\n")).toEqual([
      "QEMU:         NOT FOUND for riscv64 guests; install it: sudo apt-get install qemu-system-misc",
      "KVM:          not available (TCG instead): there is no /dev/kvm",
      "              Load the module.",
    ]));

  test.each([
    ["works", /^KVM: +available: why$/m],
    ["failed", /^KVM: +not used \(TCG instead\): why$/m],
    ["untried", /^KVM: +tried by the next launch: why$/m],
  ] as const)("KVM %s", (state, words) =>
    expect(describeRequirements({ ...report, kvm: { state, reason: "why" } })).toMatch(words),
  );
});
