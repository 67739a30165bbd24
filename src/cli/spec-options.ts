/** The options that say what VM is wanted; `run` and `dry-run` share them. */
import { InvalidArgumentError, Option, type Command } from "commander";
import { checkInput, type VmSpec, type VmSpecInput } from "../launcher/index.js";
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

/** An option that is a number, as the input of that name may be. */
const number = (input: keyof VmSpec) => (text: string) => {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  const checked = checkInput(input, value);
  if ("problem" in checked) throw new InvalidArgumentError(`It ${checked.problem}.`);
  return value;
};

export function addSpecOptions(command: Command): Command {
  return addTrustOptions(command)
    .option(
      "-p, --port <port>",
      "host port of the HTTP API, up to 65535, 0 for a free one (default: 8080)",
      number("apiPort"),
    )
    .option("-m, --memory <MiB>", "guest memory, 16 to 1048576 (default: 128)", number("memoryMb"))
    .option(
      "--vcpus <n>",
      "virtual CPUs, up to 288 for x86-64 guests, 512 for others (default: 1)",
      number("vcpus"),
    )
    .option(
      "--ssh-port <port>",
      "host port of the guest's port 2222, up to 65535, 0 for a free one",
      number("sshPort"),
    )
    .option("--bind <address>", "address of this host that the ports are open on (default: 127.0.0.1)")
    .option("--no-kvm", "do not try KVM")
    .option("--qemu <binary>", "the QEMU binary")
    .option("--appliance", "boot the appliance, not a kernel of the RVF; built first where there is none")
    .option("--kernel <file>", "a kernel instead of the RVF's own")
    .option("--initramfs <file>", "an initramfs instead of the one behind the kernel")
    .option(
      "--ready-timeout <seconds>",
      "how long the guest may take to answer, up to 3600 (default: 60)",
      number("readyTimeoutSeconds"),
    )
    .option(
      "--first-output-timeout <seconds>",
      "how long KVM may stay silent, up to 3600 (default: 10)",
      number("firstOutputTimeoutSeconds"),
    )
    .option(
      "--shutdown-timeout <seconds>",
      "how long a power-down may take, up to 3600 (default: 10)",
      number("shutdownTimeoutSeconds"),
    )
    .option("--warm-start", "go on from a saved state; the first boot of such a VM saves it")
    .addOption(
      new Option("--update-strategy <strategy>", "how a stack's update boots anew (default: beside)").choices(
        ["beside", "stopFirst"],
      ),
    )
    .option(
      "--drain-timeout <seconds>",
      "how long queries in flight go on in a stack's update, up to 3600 (default: 10)",
      number("drainTimeoutSeconds"),
    )
    .addOption(
      new Option("--extra-args <arg>", "an argument for QEMU; repeatable, as --extra-args=-foo")
        .argParser(collect)
        .default([], "none"),
    )
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
