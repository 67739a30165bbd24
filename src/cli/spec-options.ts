/** The options that say what VM is wanted; `run` and `dry-run` share them. */
import { InvalidArgumentError, Option, type Command } from "commander";
import type { VmSpecInput } from "../launcher/index.js";
import { addTrustOptions, trustFrom, type TrustOptions } from "./trust-options.js";

export interface SpecOptions extends TrustOptions {
  memory?: number;
  vcpus?: number;
  port?: number;
  sshPort?: number;
  bind?: string;
  kvm: boolean;
  qemu?: string;
  appliance?: boolean;
  kernel?: string;
  initramfs?: string;
  readyTimeout?: number;
  firstOutputTimeout?: number;
  shutdownTimeout?: number;
  warmStart?: boolean;
  updateStrategy?: "beside" | "stopFirst";
  drainTimeout?: number;
  extraArgs: string[];
  allowUnsafeArgs?: boolean;
}

export const wholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
};

export function addSpecOptions(command: Command): Command {
  return addTrustOptions(command)
    .option("-p, --port <port>", "host port of the HTTP API, 0 for a free one (default: 8080)", wholeNumber)
    .option("-m, --memory <MiB>", "guest memory (default: 128)", wholeNumber)
    .option("--vcpus <n>", "virtual CPUs (default: 1)", wholeNumber)
    .option("--ssh-port <port>", "host port of the guest's port 2222", wholeNumber)
    .option("--bind <address>", "address of this host that the ports are open on (default: 127.0.0.1)")
    .option("--no-kvm", "do not try KVM")
    .option("--qemu <binary>", "the QEMU binary")
    .option("--appliance", "boot the appliance, not a kernel of the RVF; built first where there is none")
    .option("--kernel <file>", "a kernel instead of the RVF's own")
    .option("--initramfs <file>", "an initramfs instead of the one behind the kernel")
    .option("--ready-timeout <seconds>", "how long the guest may take to answer (default: 60)", wholeNumber)
    .option("--first-output-timeout <seconds>", "how long KVM may stay silent (default: 10)", wholeNumber)
    .option("--shutdown-timeout <seconds>", "how long a power-down may take (default: 10)", wholeNumber)
    .option("--warm-start", "go on from a saved state; the first boot of such a VM saves it")
    .addOption(
      new Option("--update-strategy <strategy>", "how a stack's update boots anew (default: beside)").choices(
        ["beside", "stopFirst"],
      ),
    )
    .option(
      "--drain-timeout <seconds>",
      "how long queries in flight go on in a stack's update (default: 10)",
      wholeNumber,
    )
    .option("--extra-args <arg>", "an argument for QEMU; repeatable, as --extra-args=-foo", collect, [])
    .option("--allow-unsafe-args", "let --extra-args undo the VM's isolation");
}

const collect = (value: string, earlier: string[]): string[] => [...earlier, value];

export function specFrom(file: string, options: SpecOptions): VmSpecInput {
  return {
    rvfPath: file,
    memoryMb: options.memory,
    vcpus: options.vcpus,
    apiPort: options.port,
    sshPort: options.sshPort,
    bindAddress: options.bind,
    enableKvm: options.kvm,
    qemuBinary: options.qemu,
    kernel: options.appliance ? "appliance" : undefined,
    kernelPath: options.kernel,
    initramfsPath: options.initramfs,
    readyTimeoutSeconds: options.readyTimeout,
    firstOutputTimeoutSeconds: options.firstOutputTimeout,
    shutdownTimeoutSeconds: options.shutdownTimeout,
    warmStart: options.warmStart,
    updateStrategy: options.updateStrategy,
    drainTimeoutSeconds: options.drainTimeout,
    extraArgs: options.extraArgs,
    allowUnsafeArgs: options.allowUnsafeArgs,
    ...trustFrom(options),
  };
}
