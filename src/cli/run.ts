import type { Command } from "commander";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createVm,
  describeShutdown,
  destroyVm,
  glanceAt,
  listRecords,
  MicroVmError,
  nameOfFile,
  readRecord,
  statusOf,
  type VmStatus,
} from "../launcher/index.js";
import { inFlags } from "./flags.js";
import { interruptible } from "./interrupt.js";
import { fields, note, print, type JsonOption } from "./output.js";
import { showSteps } from "./progress.js";
import { addSpecOptions, specFrom, type SpecOptions } from "./spec-options.js";

interface RunOptions extends SpecOptions, JsonOption {
  detach?: boolean;
  name?: string;
}

/** `microvm run FILE`: boots an RVF; in the foreground until Ctrl-C, or detached once it answers. */
export function addRun(program: Command): void {
  addSpecOptions(program.command("run"))
    .description("boot an RVF and wait until it answers; Ctrl-C stops it")
    .argument("<file>", "the RVF file")
    .option("-d, --detach", "return when it is ready and leave it running")
    .option("--name <name>", "what to call it (default: the file's name)")
    .option("--json", "print the VM as JSON")
    .action((file: string, options: RunOptions) => interruptible((signal) => run(file, options, signal)));
}

async function run(file: string, options: RunOptions, signal: AbortSignal): Promise<void> {
  const vm = await launch(file, options, signal);
  print(vm, options, summaryOf);
  if (options.detach) return;

  note("Ctrl-C stops it.");
  await untilEnd(vm.vmId, signal);
  const { status, ending } = (await statusOf(vm.vmId)) ?? {};
  // After the status, whose evidence goes with the record.
  const isThere = (await readRecord(vm.vmId).catch(() => null)) !== undefined;
  const report = await destroyVm(vm.vmId);
  if (signal.aborted) return note(describeShutdown(report));
  if (isThere && ending === "clean") return note(status!);
  const what = isThere ? `ended by itself: ${status}` : "was stopped by another command";
  throw new MicroVmError("VmNotRunning", `${vm.vmId} ${what}`);
}

async function launch(file: string, options: RunOptions, signal: AbortSignal): Promise<VmStatus> {
  using steps = showSteps();
  const name = options.name ?? nameOfFile(file);
  const same = (await listRecords()).filter((record) => record.name === name);
  if (same.length > 0)
    steps.tell(
      `warning: ${name} is also the name of ${same.map(({ vmId }) => vmId).join(", ")}; tell them apart by their ids`,
    );
  const onProgress = (text: string): void => steps.tell(inFlags(text));
  return await createVm(specFrom(file, options), { name: options.name, signal, onProgress });
}

async function untilEnd(vmId: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // One that was damaged tells nothing, and Ctrl-C ends the VM all the same.
    const record = await readRecord(vmId).catch(() => null);
    if (record === undefined || (record && (await glanceAt(record)).exited)) return;
    await sleep(500, undefined, { signal }).catch(() => undefined);
  }
}

/** What `status` says, with the first words of its longest line: why KVM failed takes several. */
const summaryOf = ({ acceleratorReason, ...vm }: VmStatus): string =>
  describeVm({ ...vm, acceleratorReason: acceleratorReason.split(/: |; /)[0]! });

const bootOf = ({ bootMillis, warm }: VmStatus): string | undefined =>
  bootMillis ? `${(bootMillis / 1000).toFixed(2)} s${warm ? ", went on from a saved state" : ""}` : undefined;

export function describeVm(vm: VmStatus): string {
  return fields([
    ["id", vm.vmId],
    ["name", vm.name],
    ["status", vm.status],
    ["url", vm.url],
    ["ssh port", vm.boundSshPort],
    ["pid", vm.pid || undefined],
    ["boot", bootOf(vm)],
    ["accelerator", `${vm.accelerator} (${vm.acceleratorReason})`],
    ["memory", `${vm.spec.memoryMb} MiB, ${vm.spec.vcpus} vCPU`],
    ["rvf", vm.spec.rvfPath],
    ["kernel", vm.kernelIntegrity],
    ["console", vm.consoleLog],
    ["qmp", vm.qmpSocket],
    ["started", vm.startedAt],
    ["qemu", vm.qemuVersion],
  ]);
}
