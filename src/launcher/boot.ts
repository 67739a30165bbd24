/** One generation of a VM from a prepared kernel to the first HTTP answer, by the accelerator that really works. */
import { randomBytes, randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { connectQmp, hostForwards } from "../qmp/index.js";
import { MicroVmError } from "../errors.js";
import { SSH_PORT } from "../appliance/contract.js";
import { kvmRequired, type AcceleratorChoice } from "./accelerator.js";
import { hasContent } from "./console.js";
import { readEnding } from "./ending.js";
import { contentFingerprint } from "./fingerprint.js";
import { planQemu } from "./plan.js";
import { apiUrl, assertPortFree, isPortFree } from "./ports.js";
import type { Preparation } from "./prepare.js";
import { ownIdentity, waitGone } from "./process.js";
import { waitReady } from "./ready.js";
import { generationFiles, qmpSocketPath, writeRecord, type Generation, type VmRecord } from "./record.js";
import { shutdownProcess } from "./shutdown.js";
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
  formerPorts?: { boundApiPort?: number | undefined; boundSshPort?: number | undefined } | undefined;
}

/**
 * Boots the record's spec as its next generation and returns the record as it then stands on disk. When it throws, no
 * process of that generation is left, and the record still says `creating`.
 */
export async function boot(
  record: VmRecord,
  preparation: Preparation,
  progress: BootOptions,
): Promise<VmRecord> {
  const choices = [...preparation.accelerators];
  for (let last = record; ;) {
    const choice = choices.shift()!;
    progress.onProgress?.(`starting QEMU ${preparation.qemu.version} (${choice.accelerator})`);
    const attempt = await prepareGeneration(last, preparation, choice, progress);
    // Each start has a number of its own: whoever follows the console of one sees that the next is another.
    last = attempt;
    try {
      return await bring(attempt, preparation, progress);
    } catch (error) {
      // A cancelled launch has seconds before its own process is killed, and the guest's disk is read-only.
      await shutdownProcess(attempt, { from: progress.signal?.aborted ? "sigkill" : "quit" });
      if (choice.accelerator !== "kvm" || !(await isAcceleratorsFault(error, attempt))) throw error;
      const reason = (error as MicroVmError).message;
      if (preparation.kernel.requiresKvm) throw kvmRequired(reason, (error as MicroVmError).evidence);
      choices[0]!.reason = `KVM failed on this host: ${reason}`;
      progress.onProgress?.(choices[0]!.reason);
      const files = generationFiles(record.vmId, attempt.generation.number);
      // The shell above QEMU must not write the old exit status beside the next attempt.
      await readEnding(files);
      await rm(files.dir, { recursive: true, force: true });
    }
  }
}

/** A guest that never wrote a byte did not get to run; whatever else goes wrong is not the accelerator's doing. */
async function isAcceleratorsFault(error: unknown, { vmId, generation }: Attempt): Promise<boolean> {
  if (!(error instanceof MicroVmError) || !["QemuExited", "Timeout", "QemuSpawn"].includes(error.code))
    return false;
  return !(await hasContent(generationFiles(vmId, generation.number).console));
}

type Attempt = VmRecord & { generation: Generation };

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
    launcher: await ownIdentity(),
    generation: {
      number,
      uuid: randomUUID(),
      nonce: randomBytes(16).toString("hex"),
      qmpSocket: qmpSocketPath(record.vmId, number),
      qemuVersion: qemu.version,
      contentFingerprint: await contentFingerprint(record.spec),
      kernelSha256: kernel.sha256,
      kernelIntegrity: kernel.integrity,
      accelerator,
      acceleratorReason: reason,
      startedAt: new Date().toISOString(),
      // Ports that were chosen once are kept.
      boundApiPort: record.generation?.boundApiPort ?? formerPorts?.boundApiPort,
      boundSshPort: record.generation?.boundSshPort ?? formerPorts?.boundSshPort,
    },
  };
  // A socket of an earlier attempt would pass for this one's.
  await rm(attempt.generation.qmpSocket, { force: true });
  await rm(generationFiles(record.vmId, number).dir, { recursive: true, force: true });
  await writeRecord(attempt);
  return attempt;
}

async function bring(attempt: Attempt, preparation: Preparation, progress: Progress): Promise<VmRecord> {
  const { vmId, spec, generation } = attempt;
  const { signal, onProgress } = progress;
  const files = generationFiles(vmId, generation.number);
  const ports: Ports = {
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
  const pid = await spawnQemu({ argv, files, ...generation, signal });
  const bound = await boundPorts(generation.qmpSocket, ports, preparation.kernel.guestApiPort).catch(
    async (error: unknown) => {
      // A monitor that breaks is mostly a QEMU that dies just now, whose own words say more.
      throw (await waitGone(pid, generation.uuid, 1000)) ? await startFailure(files) : error;
    },
  );
  const running: Attempt = { ...attempt, generation: { ...generation, pid, ...bound } };
  await writeRecord(running);

  onProgress?.(`QEMU runs as process ${pid}, waiting for the guest to answer on port ${bound.boundApiPort}`);
  await waitReady({
    files,
    ...generation,
    pid,
    url: apiUrl(bound.boundApiPort, spec.bindAddress),
    timeoutMs: spec.readyTimeoutSeconds * 1000,
    firstSignMs: generation.accelerator === "kvm" ? spec.firstOutputTimeoutSeconds * 1000 : undefined,
    signal,
  });
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

interface Ports {
  apiPort: number;
  sshPort?: number | undefined;
}

/** What the ports came to be: QEMU lets the kernel choose for 0, so that nobody can take it in between. */
async function boundPorts(
  qmpSocket: string,
  { apiPort, sshPort }: Ports,
  guestApiPort: number,
): Promise<{ boundApiPort: number; boundSshPort?: number | undefined }> {
  if (apiPort !== 0 && sshPort !== 0) return { boundApiPort: apiPort, boundSshPort: sshPort };
  await using monitor = await connectQmp(qmpSocket);
  const forwards = await hostForwards(monitor);
  const hostPortOf = (guestPort: number) => {
    const found = forwards.find((forward) => forward.guestPort === guestPort)?.hostPort;
    if (found === undefined)
      throw new MicroVmError("Qmp", `QEMU does not forward a port to the guest's ${guestPort}`);
    return found;
  };
  return {
    boundApiPort: hostPortOf(guestApiPort),
    boundSshPort: sshPort === undefined ? undefined : hostPortOf(SSH_PORT),
  };
}
