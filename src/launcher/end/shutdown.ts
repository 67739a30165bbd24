/** Brings a VM down by the gentlest means that works: its power button, QMP's quit, SIGTERM, SIGKILL. */
import { quit, systemPowerdown, type QmpConnection } from "../../qmp/index.js";
import { MicroVmError } from "../../errors.js";
import { connectMonitor } from "../evidence/monitor.js";
import {
  awaitVmProcess,
  isStopped,
  signalVm,
  vmProcessesBelow,
  waitGone,
  type VmProcess,
} from "../host/process.js";
import { generationsOf, type VmRecord } from "../record/record.js";
import { generationFiles, vmDir } from "../record/vm-folder.js";
import { withDefaults } from "../spec.js";

/** How far down the ladder it had to go; `gone` when nothing ran any more. */
export type Rung = "gone" | "powerdown" | "quit" | "sigterm" | "sigkill";

export interface ShutdownReport {
  rung: Rung;
  /** From the first rung to the end of the process, in milliseconds. */
  millis: number;
}

/** The seed's deadlines (rvf-launch 0.3.0), in milliseconds; the power button's is an input, `shutdownTimeoutSeconds`. */
const deadlines = { connect: 5000, reply: 2500, quit: 5000, sigterm: 5000, sigkill: 5000 };

export interface ShutdownOptions {
  /** `quit` leaves the guest unasked: for one that never came up. Default `powerdown`. */
  from?: "powerdown" | "quit" | "sigkill";
  /** How long it may take, in milliseconds: what still runs then is killed. Default what the rungs take together. */
  withinMs?: number | undefined;
}

/** Stops every process of the VM, and reports on the one that serves. As `shutdownProcess` for each. */
export async function shutdownVm(record: VmRecord, options?: ShutdownOptions): Promise<ShutdownReport> {
  const [report = await shutdownProcess(record, options)] = await Promise.all(
    generationsOf(record).map((generation) => shutdownProcess({ ...record, generation }, options)),
  );
  return report;
}

/**
 * Stops the process of the record's generation; one already gone is no error. Throws Io when even SIGKILL did not end it.
 */
export async function shutdownProcess(
  record: VmRecord,
  options: ShutdownOptions = {},
): Promise<ShutdownReport> {
  const { generation } = record;
  const report = reporter();
  if (generation === undefined) return report("gone");
  const vm = await awaitVmProcess(generation, generationFiles(record.vmId, generation.number).pidFile);
  if (vm === undefined) return report("gone");

  const from = options.from ?? "powerdown";
  const powerdownMs = (withDefaults(record.spec).shutdownTimeoutSeconds ?? 0) * 1000;
  const within = limiter(options);
  const ends = ({ closed }: QmpConnection, timeoutMs: number) => waitGone(vm, within(timeoutMs), closed);
  const ask = async (monitor: QmpConnection, command: typeof systemPowerdown) => {
    const timeoutMs = within(deadlines.reply);
    // Without time to wait for what it does it would only blur how the VM ended.
    return timeoutMs > 0 && (await isTaken(command(monitor, { timeoutMs })));
  };
  if (from !== "sigkill") {
    // A process that somebody stopped could hear of none of the gentle means.
    if (isStopped(vm)) signalVm(vm, "SIGCONT");
    // A monitor that does not answer costs its rungs, nothing more.
    const monitor = await connectMonitor(generation, { timeoutMs: within(deadlines.connect) }).catch(
      () => undefined,
    );
    try {
      if (
        monitor &&
        from === "powerdown" &&
        (await ask(monitor, systemPowerdown)) &&
        (await ends(monitor, powerdownMs))
      )
        return report("powerdown");
      if (monitor && (await ask(monitor, quit)) && (await ends(monitor, deadlines.quit)))
        return report("quit");
    } finally {
      await monitor?.close();
    }
  }
  return report(await signalled(record.vmId, vm, from, within));
}

/**
 * Stops the QEMU of a VM whose record is lost or cannot be understood; nobody knows where its monitor is. None is no error.
 * Throws Io as above.
 */
export async function shutdownUnrecorded(
  vmId: string,
  options: ShutdownOptions = {},
): Promise<ShutdownReport> {
  const { from } = options;
  const report = reporter();
  const within = limiter(options);
  let rung: Rung = "gone";
  for (const vm of await vmProcessesBelow(vmDir(vmId))) {
    if (from !== "sigkill" && isStopped(vm)) signalVm(vm, "SIGCONT");
    rung = await signalled(vmId, vm, from, within);
  }
  return report(rung);
}

/** Measures from now on. */
function reporter(): (rung: Rung) => ShutdownReport {
  const start = performance.now();
  return (rung) => ({ rung, millis: Math.round(performance.now() - start) });
}

/** Of the time for a rung what is left of the whole from now on. */
function limiter({ withinMs = Infinity }: ShutdownOptions): (timeoutMs: number) => number {
  const deadline = performance.now() + withinMs;
  return (timeoutMs) => Math.max(0, Math.min(timeoutMs, deadline - performance.now()));
}

/** The rungs that need no monitor. */
async function signalled(
  vmId: string,
  vm: VmProcess,
  from: ShutdownOptions["from"],
  within: (timeoutMs: number) => number,
): Promise<"sigterm" | "sigkill"> {
  const termMs = from === "sigkill" ? 0 : within(deadlines.sigterm);
  if (termMs > 0) {
    signalVm(vm, "SIGTERM");
    if (await waitGone(vm, termMs)) return "sigterm";
  }
  signalVm(vm, "SIGKILL");
  if (await waitGone(vm, deadlines.sigkill)) return "sigkill";
  throw new MicroVmError("Io", `process ${vm.pid} of ${vmId} outlived SIGKILL`, {
    hint: "It hangs inside the host's kernel, usually on a disk or network file system that does not answer.",
  });
}

/** Whether the command was taken; a monitor that fails here is what the next rung is for. */
const isTaken = (command: Promise<void>): Promise<boolean> =>
  command.then(
    () => true,
    () => false,
  );

const rungWords: Record<ShutdownReport["rung"], string> = {
  gone: "was already off",
  powerdown: "powered off by its guest",
  quit: "ended by QMP quit",
  sigterm: "ended by SIGTERM",
  sigkill: "killed by SIGKILL",
};

/** `powered off by its guest (powerdown) after 62 ms` */
export function describeShutdown({ rung, millis }: ShutdownReport): string {
  return `${rungWords[rung]} (${rung}) after ${millis} ms`;
}
