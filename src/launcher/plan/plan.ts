/** QEMU's command line, and the only place that knows its options. Pure: the same code serves a dry run and a launch. */
import { CONTROL_PORT, GUEST_ADDRESS, READY_PORT, SSH_PORT } from "../../appliance/contract.js";
import { machineOf, type Arch } from "../host/arch.js";
import { kernelCmdline } from "./cmdline.js";
import { cpuModel, type Accelerator } from "../host/cpu.js";
import type { QemuFacts } from "../host/qemu.js";
import type { GenerationFiles } from "../record/vm-folder.js";
import type { VmSpec } from "../spec.js";

/** What is booted, and what of it the command line depends on; of a kind that QEMU boots, as `prepare` sees to. */
export interface BootKernel {
  kernelPath: string;
  initramfsPath?: string | undefined;
  arch: Arch;
  cmdline: string;
  guestApiPort: number;
}

export interface PlanInput {
  spec: VmSpec;
  kernel: BootKernel;
  qemu: QemuFacts;
  accelerator: Accelerator;
  tscKhz?: number | undefined;
  vmId: string;
  uuid: string;
  nonce: string;
  files: GenerationFiles;
  qmpSocket: string;
  controlSocket: string;
  guestSocket: string;
  memory?: MemoryFile | undefined;
}

/** A file that is the guest's memory. */
export interface MemoryFile {
  path: string;
  /** `saving`: the guest writes into it; `saved`: it goes on from what is there by a copy of its own, once it is given its other state. */
  use: "saving" | "saved";
}

export interface Plan {
  /** The binary and its arguments. */
  argv: [string, ...string[]];
  cmdline: string;
}

export function planQemu(input: PlanInput): Plan {
  const { spec, kernel, qemu, accelerator, files } = input;
  const cmdline = kernelCmdline({
    arch: kernel.arch,
    own: kernel.cmdline,
    nonce: input.nonce,
    guestApiPort: kernel.guestApiPort,
    accelerator,
    vcpus: spec.vcpus,
    tscKhz: input.tscKhz,
  });
  const disk = {
    driver: "raw",
    "node-name": "rvf",
    "read-only": true,
    file: { driver: "file", filename: spec.rvfPath },
  };
  const forwards = [
    hostForward(spec.bindAddress, spec.apiPort, kernel.guestApiPort),
    ...(spec.sshPort === undefined ? [] : [hostForward(spec.bindAddress, spec.sshPort, SSH_PORT)]),
  ];
  return {
    cmdline,
    argv: [
      qemu.binary,
      ...[
        "-machine",
        `${machineOf[kernel.arch]}${machineSettings[kernel.arch]}${input.memory ? `,memory-backend=${MEMORY}` : ""}`,
      ],
      ...["-accel", accelerator === "tcg" ? `tcg,tb-size=${TRANSLATED_MB * spec.vcpus}` : accelerator],
      ...["-cpu", cpuModel(accelerator, kernel.arch)],
      ...["-smp", String(spec.vcpus), "-m", `${spec.memoryMb}M`],
      ...memoryArgs(spec, input.memory),
      ...["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot"],
      ...["-name", input.vmId, "-uuid", input.uuid, "-pidfile", files.pidFile],
      // A pipe or socket that nobody reads blocks the guest: the keeper empties this one, and that of the ready port.
      ...["-serial", `file:${files.consolePipe}`],
      // Has QEMU say on its stderr why it ends. One built without that way of tracing warns or stays silent.
      // By -D, because a QEMU 7.2 that traces its start to stderr without it never enters a vmlinux (PVH).
      ...["-trace", "qemu_system_shutdown_request", "-trace", "runstate_set", "-D", "/dev/stderr"],
      ...["-kernel", kernel.kernelPath],
      ...(kernel.initramfsPath === undefined ? [] : ["-initrd", kernel.initramfsPath]),
      ...["-append", cmdline],
      // JSON, because the short form splits paths at commas.
      ...["-blockdev", JSON.stringify(disk), "-device", "virtio-blk-device,drive=rvf"],
      // restrict=on: the guest reaches neither the outside nor services on the host's own loopback.
      ...[
        "-netdev",
        [`user,id=${NETDEV},restrict=on`, ...forwards].join(","),
        "-device",
        // One that goes on from a saved state would first tell a network of nobody that it has moved.
        `virtio-net-device,netdev=${NETDEV},guest_announce=off`,
      ],
      ...["-device", "virtio-rng-device"],
      // By it a kernel that panics says so to QEMU, and not to its console alone.
      ...(takesPvpanic(input) ? ["-device", "pvpanic"] : []),
      ...[
        "-device",
        "virtio-serial-device",
        "-chardev",
        `file,id=ready,path=${escapeCommas(files.readyPipe)}`,
      ],
      ...["-device", `virtserialport,chardev=ready,name=${READY_PORT}`],
      ...["-chardev", `socket,id=ctl,path=${escapeCommas(input.guestSocket)},server=on,wait=off`],
      ...["-device", `virtserialport,chardev=ctl,name=${CONTROL_PORT}`],
      ...["-qmp", `unix:${escapeCommas(input.controlSocket)},server=on,wait=off`],
      ...["-qmp", `unix:${escapeCommas(input.qmpSocket)},server=on,wait=off`],
      ...(qemu.sandbox
        ? ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
        : []),
      ...spec.extraArgs,
    ],
  };
}

/**
 * Room for translated code, in MB for each CPU. QEMU's default is so large that it never throws any away: a guest that serves then keeps
 * all that its boot has run once. A server's own code takes a third of this. With 16 it is full between the first two answers, and the second
 * takes twice as long (docs/performance.md).
 */
const TRANSLATED_MB = 20;

/**
 * acpi=on gives the power button that QMP's system_powerdown presses; without gic-version=max an aarch64 guest can have
 * no more than 8 CPUs. All machines have slots of virtio-mmio for the devices below.
 */
const machineSettings: Record<Arch, string> = {
  x86_64: ",acpi=on,rtc=on",
  aarch64: ",gic-version=max",
  riscv64: "",
};

/** The device is one of x86's; a user's own, with other properties, takes the place of ours, since there cannot be two. */
const takesPvpanic = ({ spec, kernel, qemu }: PlanInput): boolean =>
  kernel.arch === "x86_64" && qemu.pvpanic && !spec.extraArgs.some((word) => /^pvpanic(,|$)/.test(word));

const MEMORY = "memory";

function memoryArgs({ memoryMb }: VmSpec, memory: MemoryFile | undefined): string[] {
  if (memory === undefined) return [];
  const backend = {
    ...{
      "qom-type": "memory-backend-file",
      id: MEMORY,
      size: memoryMb * 1024 * 1024,
      "mem-path": memory.path,
    },
    // Not shared, what the guest changes is its own, and what it does not change is in the host's memory once for all.
    share: memory.use === "saving",
  };
  return ["-object", JSON.stringify(backend), ...(memory.use === "saved" ? ["-incoming", "defer"] : [])];
}

/** The guest's network, to which forwards of host ports belong. */
export const NETDEV = "net0";

/** An empty host address would mean every interface of the host. */
const hostForward = (address: string, hostPort: number, guestPort: number): string =>
  `hostfwd=tcp:${address}:${hostPort}-${GUEST_ADDRESS}:${guestPort}`;

const escapeCommas = (path: string): string => path.replaceAll(",", ",,");
