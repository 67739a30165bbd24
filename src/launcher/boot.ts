/** One generation of a VM from a prepared kernel to the first HTTP answer, by the accelerator that really works. */
import { randomBytes, randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { MicroVmError } from "../errors.js";
import { kvmRequired, type AcceleratorChoice } from "./accelerator.js";
import { hasContent } from "./console.js";
import { readEnding } from "./ending.js";
import { contentFingerprint } from "./fingerprint.js";
import { boundPorts, type BoundPorts } from "./forwards.js";
import { rememberKvm } from "./kvm-verdict.js";
import { connectMonitor } from "./monitor.js";
import { planQemu } from "./plan.js";
import { apiUrl, assertPortFree, isPortFree } from "./ports.js";
import type { Preparation } from "./prepare.js";
import { hostBootId, waitGone } from "./process.js";
import { race, waitReady } from "./ready.js";
import {
  generationFiles,
  removeStale,
  socketPaths,
  writeRecord,
  type Generation,
  type VmRecord,
} from "./record.js";
import { shutdownProcess } from "./shutdown.js";
import { hang, silence, type Lifeless } from "./sign-of-life.js";
import { spawnQemu, startFailure } from "./spawn.js";
import type { VmSpec } from "./spec.js";
import { hostTscKhz } from "./tsc.js";

export interface Progress {
  /** Called with one short line for each step and each thing worth knowing. */
  onProgress?: ((text: string) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface BootOptions extends Progress {
  /** Host ports to take again where the spec leaves the choice (0) and the record knows of no former generation. */
  formerPorts?: { [Port in keyof BoundPorts]?: number | undefined } | undefined;
}

/**
 * Boots the record's spec as its next generation and returns the record as it then stands on disk. When it throws, no
 * process of that generation is left, and the record still says `creating`. The caller holds the VM's lock.
 */
export async function boot(
  record: VmRecord,
  preparation: Preparation,
  options: BootOptions,
): Promise<VmRecord> {
  const { kernel, qemu } = preparation;
  const [first, fallback] = preparation.accelerators;
  try {
    const ready = await bootUnder(first!, record, preparation, options);
    if (first!.accelerator === "kvm")
      await rememberKvm(qemu, kernel.arch, { works: true, reason: "a guest answered under it" });
    return ready;
  } catch (error) {
    if (!(error instanceof NotExecuted)) throw error;
    if (fallback === undefined) throw kvmRequired(error.message, error.evidence);
    const reason = `KVM failed on this host: ${error.message}`;
    options.onProgress?.(reason);
    const ready = await bootUnder({ ...fallback, reason }, error.attempt, preparation, options);
    // Only now is it the accelerator's fault for certain: the same guest came up without it.
    await rememberKvm(qemu, kernel.arch, { works: false, reason: error.message });
    return ready;
  }
}

type Attempt = VmRecord & { generation: Generation };

/** The accelerator did not run the guest. */
class NotExecuted extends Error {
  constructor(
    reason: string,
    readonly evidence: string | undefined,
    readonly attempt: Attempt,
  ) {
    super(reason);
  }
}

/** Boots under this accelerator, again where the guest hangs by emulation's fault. Throws NotExecuted where the accelerator fails. */
async function bootUnder(
  choice: AcceleratorChoice,
  record: VmRecord,
  preparation: Preparation,
  options: BootOptions,
): Promise<VmRecord> {
  const { accelerator } = choice;
  const since = performance.now();
  for (let last = record; ;) {
    options.onProgress?.(`starting QEMU ${preparation.qemu.version} (${accelerator})`);
    // Each start has a number of its own: whoever follows the console of one sees that the next is another.
    const attempt = (last = await prepareGeneration(last, preparation, choice, options));
    let outcome: VmRecord | Lifeless;
    try {
      outcome = await bring(attempt, preparation, since, options);
    } catch (error) {
      // A cancelled launch has seconds before its own process is killed, and the guest's disk is read-only.
      await shutdownProcess(attempt, { from: options.signal?.aborted ? "sigkill" : "quit" });
      if (accelerator === "tcg" || !(await isAcceleratorsFault(error, attempt))) throw error;
      await removeGeneration(attempt);
      throw new NotExecuted((error as MicroVmError).message, (error as MicroVmError).evidence, attempt);
    }
    if (typeof outcome !== "string") return outcome;
    await shutdownProcess(attempt, { from: "quit" });
    await removeGeneration(attempt);
    if (outcome === "silent") {
      const allowance = attempt.spec.firstOutputTimeoutSeconds;
      throw new NotExecuted(`the guest gave no sign of life within ${allowance} s`, undefined, attempt);
    }
    options.onProgress?.("the guest hung at the calibration of its clock, which emulation lets it at times");
  }
}

/** A guest that never wrote a byte did not get to run; whatever else goes wrong is not the accelerator's doing. */
async function isAcceleratorsFault(error: unknown, { vmId, generation }: Attempt): Promise<boolean> {
  if (!(error instanceof MicroVmError) || !["QemuExited", "Timeout", "QemuSpawn"].includes(error.code))
    return false;
  return !(await hasContent(generationFiles(vmId, generation.number).console));
}

/** Clears away a start that another follows. */
async function removeGeneration({ vmId, generation }: Attempt): Promise<void> {
  const files = generationFiles(vmId, generation.number);
  // The shell above QEMU has a last line to write.
  await readEnding(files);
  await rm(files.dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}

/** Writes down what is about to be started, before it is. */
async function prepareGeneration(
  record: VmRecord,
  { kernel, qemu }: Preparation,
  { accelerator, reason }: AcceleratorChoice,
  { formerPorts }: BootOptions,
): Promise<Attempt> {
  const number = (record.generation?.number ?? 0) + 1;
  const attempt: Attempt = {
    ...record,
    phase: "creating",
    generation: {
      number,
      uuid: randomUUID(),
      nonce: randomBytes(16).toString("hex"),
      hostBootId: hostBootId(),
      ...socketPaths(record.vmId, number),
      qemuVersion: qemu.version,
      contentFingerprint: await contentFingerprint(record.spec),
      kernelSha256: kernel.sha256,
      kernelIntegrity: kernel.integrity,
      guestApiPort: kernel.guestApiPort,
      accelerator,
      acceleratorReason: reason,
      startedAt: new Date().toISOString(),
      // Ports that were chosen once are kept.
      boundApiPort: record.generation?.boundApiPort ?? formerPorts?.boundApiPort,
      boundSshPort: record.generation?.boundSshPort ?? formerPorts?.boundSshPort,
    },
  };
  // Sockets of an earlier attempt would pass for this one's.
  await rm(attempt.generation.qmpSocket, { force: true });
  await rm(attempt.generation.controlSocket, { force: true });
  await rm(generationFiles(record.vmId, number).dir, { recursive: true, force: true });
  await writeRecord(attempt);
  await removeStale(attempt);
  return attempt;
}

/** Starts QEMU and waits until the guest answers, or shows no sign of life. */
async function bring(
  attempt: Attempt,
  preparation: Preparation,
  since: number,
  { signal, onProgress }: Progress,
): Promise<VmRecord | Lifeless> {
  const { vmId, spec, generation } = attempt;
  const { accelerator, nonce } = generation;
  const { kernel } = preparation;
  const files = generationFiles(vmId, generation.number);
  const ports = {
    apiPort: await portToBind("apiPort", spec, generation.boundApiPort),
    sshPort:
      spec.sshPort === undefined ? undefined : await portToBind("sshPort", spec, generation.boundSshPort),
  };
  const { argv } = planQemu({
    spec: { ...spec, ...ports },
    ...preparation,
    ...generation,
    tscKhz: await hostTscKhz(),
    vmId,
    files,
  });
  const spawned = performance.now();
  const timeoutMs = spec.readyTimeoutSeconds * 1000;
  const vm = await spawnQemu({ argv, files, ...generation, deadline: since + timeoutMs, signal });
  const bound = await portsOf(generation, ports, kernel.guestApiPort).catch(async (error: unknown) => {
    // A monitor that breaks is mostly a QEMU that dies just now, whose own words say more.
    throw (await waitGone(vm, 1000)) ? await startFailure(files) : error;
  });
  const { pid, startTicks } = vm;
  const running: Attempt = { ...attempt, generation: { ...generation, pid, startTicks, ...bound } };
  await writeRecord(running);

  onProgress?.(`QEMU runs as process ${pid}, waiting for the guest to answer on port ${bound.boundApiPort}`);
  const url = apiUrl(bound.boundApiPort, spec.bindAddress);
  // The last start that fits into the time is left alone, because a guest that is merely odd may come up.
  const mayHang = accelerator === "tcg" && kernel.arch === "x86_64" && spawned < since + timeoutMs / 2;
  const outcome = await race<Lifeless | undefined>(signal, [
    (stop) => waitReady({ files, vm, nonce, url, timeoutMs, since, signal: stop }).then(() => undefined),
    ...(accelerator === "tcg"
      ? []
      : [(stop: AbortSignal) => silence(files, spec.firstOutputTimeoutSeconds * 1000, stop)]),
    ...(mayHang ? [(stop: AbortSignal) => hang(vm, generation, files, stop)] : []),
  ]);
  if (outcome !== undefined) return outcome;
  const bootMillis = Math.round(performance.now() - spawned);
  const ready: Attempt = { ...running, phase: "ready", generation: { ...running.generation, bootMillis } };
  await writeRecord(ready);
  return ready;
}

/** The port to forward: the one asked for or, where that is 0, the former generation's as long as it is free. */
async function portToBind(
  key: "apiPort" | "sshPort",
  { bindAddress, [key]: wanted = 0 }: VmSpec,
  kept: number | undefined,
): Promise<number> {
  if (wanted === 0 && kept !== undefined) {
    return (await isPortFree(kept, bindAddress)) ? kept : 0;
  }
  await assertPortFree(wanted, key, bindAddress);
  return wanted;
}

/** What the ports came to be; those that were named are known without asking. */
async function portsOf(
  generation: Generation,
  { apiPort, sshPort }: Pick<VmSpec, "apiPort" | "sshPort">,
  guestApiPort: number,
): Promise<BoundPorts> {
  if (apiPort !== 0 && sshPort !== 0) return { boundApiPort: apiPort, boundSshPort: sshPort };
  await using monitor = await connectMonitor(generation, {});
  return await boundPorts(monitor, { guestApiPort, sshPort });
}
