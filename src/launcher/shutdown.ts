/** Brings a VM down by the gentlest means that works: its power button, QMP's quit, SIGTERM, SIGKILL. */
import { quit, systemPowerdown, type QmpConnection } from "../qmp/index.js";
import { MicroVmError } from "../errors.js";
import { connectMonitor } from "./monitor.js";
import { findVmProcess, isStopped, signalVm, waitGone } from "./process.js";
import { generationFiles, type VmRecord } from "./record.js";
import { withDefaults } from "./spec.js";

/** How far down the ladder it had to go; `gone` when nothing ran any more. */
export type Rung = "gone" | "powerdown" | "quit" | "sigterm" | "sigkill";

export interface ShutdownReport {
  rung: Rung;
  /** From the first rung to the end of the process, in milliseconds. */
  millis: number;
}

/** The seed's deadlines (rvf-launch 0.3.0), in milliseconds; the power button's is an input, `shutdownTimeoutSeconds`. */
const deadlines = { connect: 5000, quit: 5000, sigterm: 5000, sigkill: 5000 };

export interface ShutdownOptions {
  /** `quit` leaves the guest unasked: for one that never came up. Default `powerdown`. */
  from?: "powerdown" | "quit" | "sigkill";
}

/**
 * Stops the VM's process; one already gone is no error. Throws Io when even SIGKILL did not end it.
 */
export async function shutdownProcess(
  record: VmRecord,
  options: ShutdownOptions = {},
): Promise<ShutdownReport> {
  const { generation } = record;
  const start = performance.now();
  const report = (rung: Rung): ShutdownReport => ({ rung, millis: Math.round(performance.now() - start) });
  if (generation === undefined) return report("gone");
  const vm = await findVmProcess(generation, generationFiles(record.vmId, generation.number).pidFile);
  if (vm === undefined) return report("gone");

  const from = options.from ?? "powerdown";
  const powerdownMs = (withDefaults(record.spec).shutdownTimeoutSeconds ?? 0) * 1000;
  const ends = (timeoutMs: number) => waitGone(vm, timeoutMs);
  if (from !== "sigkill") {
    // A process that somebody stopped could hear of none of the gentle means.
    if (isStopped(vm)) signalVm(vm, "SIGCONT");
    // A monitor that does not answer costs its rungs, nothing more.
    const monitor = await connectMonitor(generation, { timeoutMs: deadlines.connect }).catch(() => undefined);
    try {
      if (
        monitor &&
        from === "powerdown" &&
        (await ask(monitor, systemPowerdown)) &&
        (await ends(powerdownMs))
      )
        return report("powerdown");
      if (monitor && (await ask(monitor, quit)) && (await ends(deadlines.quit))) return report("quit");
    } finally {
      await monitor?.close();
    }
    signalVm(vm, "SIGTERM");
    if (await ends(deadlines.sigterm)) return report("sigterm");
  }
  signalVm(vm, "SIGKILL");
  if (await ends(deadlines.sigkill)) return report("sigkill");
  throw new MicroVmError("Io", `process ${vm.pid} of ${record.vmId} outlived SIGKILL`, {
    hint: "It hangs inside the host's kernel, usually on a disk or network file system that does not answer.",
  });
}

/** Whether the command was taken; a monitor that fails here is what the next rung is for. */
async function ask(
  monitor: QmpConnection,
  command: (monitor: QmpConnection) => Promise<void>,
): Promise<boolean> {
  return await command(monitor).then(
    () => true,
    () => false,
  );
}
