import type { Arch } from "../../../src/launcher/host/arch.js";
import { planQemu, type PlanInput } from "../../../src/launcher/plan/plan.js";
import { parseSpec } from "../../../src/launcher/spec.js";

const uuid = "11111111-2222-4333-8444-555555555555";
const spec = parseSpec({ rvfPath: "/data/db.rvf" });
const files = {
  dir: "/s/1",
  pidFile: "/s/1/qemu.pid",
  console: "/s/1/console.log",
  consolePipe: "/s/1/console.pipe",
  stderr: "/s/1/qemu.stderr",
  stderrPipe: "/s/1/stderr.pipe",
  exitStatus: "/s/1/exit-status",
  ready: "/s/1/ready",
  readyPipe: "/s/1/ready.pipe",
  argv: "/s/1/argv.json",
};
const input: PlanInput = {
  spec,
  kernel: { kernelPath: "/c/kernel", arch: "x86_64", cmdline: "", guestApiPort: 8080 },
  qemu: {
    binary: "/usr/bin/qemu-system-x86_64",
    version: "7.2.22",
    machines: ["microvm"],
    accelerators: ["tcg", "kvm"],
    sandbox: true,
    pvpanic: true,
  },
  accelerator: "tcg",
  tscKhz: 2596138,
  vmId: "db-0000abcd",
  uuid,
  nonce: "n0",
  files,
  qmpSocket: "/s/1/qmp.sock",
  controlSocket: "/s/1/control.sock",
  guestSocket: "/s/1/guest.sock",
};

/** The whole command line in words of `option value`, for the eye. */
const lines = (changes: Partial<PlanInput> = {}): string[] =>
  planQemu({ ...input, ...changes })
    .argv.join(" ")
    .split(/ (?=-[a-z])/);

const cmdline = "console=ttyS0 reboot=t panic=-1 earlyprintk=ttyS0 quiet";
const underTcg = [
  "/usr/bin/qemu-system-x86_64",
  "-machine microvm,acpi=on,rtc=on",
  "-accel tcg,tb-size=20",
  "-cpu max,-erms,-fsrm",
  "-smp 1",
  "-m 128M",
  "-nodefaults",
  "-no-user-config",
  "-display none",
  "-monitor none",
  "-no-reboot",
  "-name db-0000abcd",
  `-uuid ${uuid}`,
  "-pidfile /s/1/qemu.pid",
  "-serial file:/s/1/console.pipe",
  "-trace qemu_system_shutdown_request",
  "-trace runstate_set -D /dev/stderr",
  "-kernel /c/kernel",
  `-append ${cmdline} tsc_early_khz=2596138 tsc=reliable lapic_khz=1000000 noreplace-smp rvf.port=8080 microvm.nonce=n0`,
  '-blockdev {"driver":"raw","node-name":"rvf","read-only":true,"file":{"driver":"file","filename":"/data/db.rvf"}}',
  "-device virtio-blk-device,drive=rvf",
  "-netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:8080-10.0.2.15:8080",
  "-device virtio-net-device,netdev=net0,guest_announce=off",
  "-device virtio-rng-device",
  "-device pvpanic",
  "-device virtio-serial-device",
  "-chardev file,id=ready,path=/s/1/ready.pipe",
  "-device virtserialport,chardev=ready,name=org.microvm.ready.0",
  "-chardev socket,id=ctl,path=/s/1/guest.sock,server=on,wait=off",
  "-device virtserialport,chardev=ctl,name=org.microvm.ctl.0",
  "-qmp unix:/s/1/control.sock,server=on,wait=off",
  "-qmp unix:/s/1/qmp.sock,server=on,wait=off",
  "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
];

/** The lines with some of them, found by how they begin, replaced. */
const but = (changes: Record<string, string[]>): string[] =>
  underTcg.flatMap((line) => {
    const start = Object.keys(changes).find((start) => line.startsWith(start));
    return start === undefined ? [line] : changes[start]!;
  });

test("the command line under TCG", () => expect(lines()).toEqual(underTcg));

test("under KVM: the host's CPU, and no hint about clocks", () =>
  expect(lines({ accelerator: "kvm" })).toEqual(
    but({
      "-accel": ["-accel kvm"],
      "-cpu": ["-cpu host,-sgx"],
      "-append": [`-append ${cmdline} rvf.port=8080 microvm.nonce=n0`],
    }),
  ));

/** The same VM on the machine of another architecture: devices, network and monitor stay. */
const others: [Arch, Record<string, string[]>][] = [
  [
    "aarch64",
    {
      "/usr/bin": ["/usr/bin/qemu-system-aarch64"],
      "-machine": ["-machine virt,gic-version=max"],
      "-cpu": ["-cpu max,pauth-impdef=on,lpa2=off"],
      "-append": ["-append console=ttyAMA0 panic=-1 earlycon loglevel=6 rvf.port=8080 microvm.nonce=n0"],
      "-device pvpanic": [],
    },
  ],
  [
    "riscv64",
    {
      "/usr/bin": ["/usr/bin/qemu-system-riscv64"],
      "-machine": ["-machine virt"],
      "-cpu": ["-cpu rv64"],
      "-append": ["-append console=ttyS0 panic=-1 earlycon=sbi loglevel=6 rvf.port=8080 microvm.nonce=n0"],
      "-device pvpanic": [],
    },
  ],
];

test.each(others)("%s", (arch, changes) => {
  const qemu = { ...input.qemu, binary: `/usr/bin/qemu-system-${arch}`, machines: ["virt"] };
  expect(lines({ kernel: { ...input.kernel, arch }, qemu })).toEqual(but(changes));
});

test("with an initramfs", () =>
  expect(lines({ kernel: { ...input.kernel, initramfsPath: "/c/initramfs" } })).toEqual(
    but({ "-kernel": ["-kernel /c/kernel", "-initrd /c/initramfs"] }),
  ));

test("with SSH, a guest port of the RVF's own, more memory and more CPUs", () =>
  expect(
    lines({
      spec: { ...spec, apiPort: 9000, sshPort: 2200, memoryMb: 512, vcpus: 4 },
      kernel: { ...input.kernel, guestApiPort: 7000 },
    }),
  ).toEqual(
    but({
      "-accel": ["-accel tcg,tb-size=80"],
      "-smp": ["-smp 4"],
      "-m ": ["-m 512M"],
      "-netdev": [
        "-netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:9000-10.0.2.15:7000,hostfwd=tcp:127.0.0.1:2200-10.0.2.15:2222",
      ],
      "-append": [
        `-append ${cmdline} tsc_early_khz=2596138 tsc=reliable lpj=25961380 lapic_khz=1000000 noreplace-smp rvf.port=7000 microvm.nonce=n0`,
      ],
    }),
  ));

test("ports that are open on another address", () =>
  expect(lines({ spec: { ...spec, sshPort: 0, bindAddress: "0.0.0.0" } })).toEqual(
    but({
      "-netdev": [
        "-netdev user,id=net0,restrict=on,hostfwd=tcp:0.0.0.0:8080-10.0.2.15:8080,hostfwd=tcp:0.0.0.0:0-10.0.2.15:2222",
      ],
    }),
  ));

test("without a sandbox and a panic device where the build has none", () =>
  expect(lines({ qemu: { ...input.qemu, sandbox: false, pvpanic: false } })).toEqual(
    but({ "-sandbox": [], "-device pvpanic": [] }),
  ));

test("a panic device of the user's own takes the place of ours", () =>
  expect(lines({ spec: { ...spec, extraArgs: ["-device", "pvpanic,events=1"] } })).toEqual([
    ...but({ "-device pvpanic": [] }),
    "-device pvpanic,events=1",
  ]));

test("extraArgs come last, as they are", () =>
  expect(planQemu({ ...input, spec: { ...spec, extraArgs: ["-d", "guest errors"] } }).argv.slice(-2)).toEqual(
    ["-d", "guest errors"],
  ));

test("a comma in a path injects nothing", () => {
  const { argv } = planQemu({
    ...input,
    spec: { ...spec, rvfPath: '/d,x/a "b".rvf' },
    files: {
      ...files,
      readyPipe: "/s,1/ready.pipe",
      consolePipe: "/s,1/console.pipe",
      pidFile: "/s,1/qemu.pid",
    },
    qmpSocket: "/s,1/qmp.sock",
    controlSocket: "/s,1/control.sock",
    guestSocket: "/s,1/guest.sock",
  });
  const disk = argv[argv.indexOf("-blockdev") + 1]!;
  expect(JSON.parse(disk)).toMatchObject({ file: { filename: '/d,x/a "b".rvf' } });
  // -serial and -pidfile take commas as they are.
  expect(argv.filter((word) => word.includes("/s,"))).toEqual([
    "/s,1/qemu.pid",
    "file:/s,1/console.pipe",
    "file,id=ready,path=/s,,1/ready.pipe",
    "socket,id=ctl,path=/s,,1/guest.sock,server=on,wait=off",
    "unix:/s,,1/control.sock,server=on,wait=off",
    "unix:/s,,1/qmp.sock,server=on,wait=off",
  ]);
});

test("the command line tells what it appends", () =>
  expect(planQemu(input).argv).toContain(planQemu(input).cmdline));

test.each([
  ["saving", true, []],
  ["saved", false, ["-incoming defer"]],
] as const)("a file is its memory, for a guest that is %s", (use, share, incoming) => {
  const memory = { path: "/c/a,b/memory", use };
  const file = { id: "memory", size: 128 * 1024 * 1024, "mem-path": "/c/a,b/memory", share };
  expect(lines({ memory }).filter((line) => !lines().includes(line))).toEqual([
    "-machine microvm,acpi=on,rtc=on,memory-backend=memory",
    `-object ${JSON.stringify({ "qom-type": "memory-backend-file", ...file })}`,
    ...incoming,
  ]);
});
