/** One start of QEMU: written down before, watched until its guest answers, shows no sign of life or ends. */
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { MicroVmError } from "../../errors.js";
import type { QmpConnection } from "../../qmp/index.js";
import type { AcceleratorChoice } from "../host/accelerator.js";
import { readEnding } from "../evidence/ending.js";
import { contentFingerprint } from "../plan/fingerprint.js";
import { boundPorts, type BoundPorts } from "../ports/forwards.js";
import { planQemu, type MemoryFile } from "../plan/plan.js";
import { apiUrl, assertPortFree, isPortFree } from "../ports/ports.js";
import type { Preparation } from "../plan/prepare.js";
import { hostBootId, waitGone, type VmProcess } from "../host/process.js";
import type { Progress } from "../progress.js";
import { race, waitReady } from "./ready.js";
import { removeStale, type Generation, type VmRecord } from "../record/record.js";
import { writeRecord } from "../record/write.js";
import { hang, silence, type Lifeless } from "./sign-of-life.js";
import { spawnQemu, startFailure } from "./spawn.js";
import type { VmSpec } from "../spec.js";
import { hostTscKhz } from "../host/tsc.js";
import { generationFiles, removal, socketPaths, type SocketPaths } from "../record/vm-folder.js";

export interface BootOptions extends Progress {
  /** Host ports to take again where the spec leaves the choice (0) and the record knows of no former generation. */
  formerPorts?: { [Port in keyof BoundPorts]?: number | undefined } | undefined;
  /** The VM beside which it boots, as its `next`. Otherwise it boots in the record's own place. */
  beside?: VmRecord | undefined;
  /** The VM in whose place it boots: stopped when it is the boot's turn, so that it serves until then. */
  replaces?: { memoryMb: number; stop: () => Promise<void> } | undefined;
  /** Whether a guest that does not answer in time is left running: it may come up yet. Default false. */
  keepUnready?: boolean | undefined;
}

/** A record that says what is being started. */
export type Attempt = VmRecord & { generation: Generation & SocketPaths };

/** What stands on disk about it. */
const recordOf = (attempt: Attempt, { beside }: BootOptions): VmRecord =>
  beside ? { ...beside, next: attempt.generation } : attempt;

/** Writes down what is about to be started, before it is. */
export async function prepareGeneration(
  record: VmRecord,
  { kernel, qemu }: Preparation,
  { accelerator, reason }: AcceleratorChoice,
  options: BootOptions,
): Promise<Attempt> {
  const { formerPorts } = options;
  const number = (record.generation?.number ?? 0) + 1;
  const sockets = socketPaths(record.vmId, number);
  const attempt: Attempt = {
    ...record,
    phase: "creating",
    failure: undefined,
    generation: {
      number,
      uuid: randomUUID(),
      nonce: randomBytes(16).toString("hex"),
      hostBootId: hostBootId(),
      ...sockets,
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
  const stale = [...Object.values(sockets), generationFiles(record.vmId, number).dir];
  // Mostly there is none, which is known sooner here than in another thread.
  for (const path of stale.filter((one) => existsSync(one))) await rm(path, removal);
  await writeRecord(recordOf(attempt, options));
  await removeStale(recordOf(attempt, options));
  return attempt;
}

/** A start whose memory is a file. */
export interface FromFile {
  memory: MemoryFile;
  /** Gives a guest that was saved its other state, by QEMU's monitor, and makes it this VM's; it then writes its ready line. */
  goOn?: (running: Attempt, monitor: QmpConnection, signal: AbortSignal) => Promise<void>;
  /** How long that may take, in milliseconds, instead of what the spec says. */
  timeoutMs?: number;
}

/** To be saved it is reached by nobody: what others tell a guest would be in its memory. */
const unreached = { bindAddress: "127.0.0.1", apiPort: 0, sshPort: undefined };

/** Starts QEMU and waits until the guest answers, or shows no sign of life. What answers is ready once that is written down (`markReady`). */
export async function bring(
  attempt: Attempt,
  preparation: Preparation,
  since: number,
  { file, ...options }: BootOptions & { file?: FromFile | undefined },
): Promise<Attempt | Lifeless> {
  const { signal, onProgress } = options;
  const { vmId, generation } = attempt;
  const saving = file?.memory.use === "saving";
  const spec = saving ? { ...attempt.spec, ...unreached } : attempt.spec;
  const { nonce } = generation;
  const { kernel } = preparation;
  const files = generationFiles(vmId, generation.number);
  const ports = {
    apiPort: saving ? 0 : await portToBind("apiPort", spec, generation.boundApiPort),
    sshPort:
      spec.sshPort === undefined ? undefined : await portToBind("sshPort", spec, generation.boundSshPort),
  };
  const { argv } = planQemu({
    spec: { ...spec, ...ports },
    ...preparation,
    ...generation,
    tscKhz: hostTscKhz(),
    vmId,
    files,
    memory: file?.memory,
  });
  const startedAt = performance.now();
  const { timeoutMs = spec.readyTimeoutSeconds * 1000, goOn } = file ?? {};
  const { vm, ...spawned } = await spawnQemu({
    argv,
    files,
    ...generation,
    deadline: since + timeoutMs,
    signal,
  });
  await using monitor = spawned.monitor;
  // A monitor that breaks is mostly a QEMU that dies just now, whose own words say more.
  const orDeath = async (error: unknown): Promise<never> => {
    throw !signal?.aborted && (await waitGone(vm, 1000)) ? await startFailure(files) : error;
  };
  const bound = await portsOf(monitor, ports, kernel.guestApiPort).catch(orDeath);
  const { pid, startTicks } = vm;
  const known = { pid, startTicks, ...(!saving && bound), ...(goOn && { warm: true as const }) };
  const running: Attempt = { ...attempt, generation: { ...generation, ...known } };
  onProgress?.(`QEMU runs as process ${pid}, waiting for the guest to answer on port ${bound.boundApiPort}`);
  // A guest that goes on does not wait for the disk. Whoever comes before it is written finds the VM by its uuid.
  const recorded = writeRecord(recordOf(running, options));
  const written = recorded.catch(() => undefined);
  const url = apiUrl(bound.boundApiPort, spec.bindAddress);
  const watch = { files, vm, nonce, url, timeoutMs, since };
  // However it ends, whoever writes the next record or removes this one finds it written.
  const outcome = await race<Lifeless | undefined>(signal, [
    async (stop) => {
      await goOn?.(running, monitor, stop).catch(orDeath);
      // It serves one client at a time, and others have questions while a guest boots.
      await monitor.close();
      await recorded;
      return void (await waitReady({ ...watch, wordOnly: goOn !== undefined, signal: stop }));
    },
    // One that goes on has booted before: its time is all that it is watched for.
    ...(goOn
      ? [(stop: AbortSignal) => lateness(timeoutMs, stop)]
      : lifelessness({ attempt, kernel, vm, by: since + timeoutMs / 2 })),
  ]).finally(() => written);
  await recorded;
  if (outcome !== undefined) return outcome;
  const bootMillis = Math.round(performance.now() - startedAt);
  return { ...running, generation: { ...running.generation, bootMillis } };
}

async function lateness(timeoutMs: number, signal: AbortSignal): Promise<never> {
  await sleep(timeoutMs, undefined, { signal });
  throw new MicroVmError("Timeout", `it did not answer within ${timeoutMs / 1000} s`);
}

/** Waits for what shows that a guest never gets to run. */
function lifelessness({
  attempt: { vmId, spec, generation },
  kernel,
  vm,
  by,
}: {
  attempt: Attempt;
  kernel: Preparation["kernel"];
  vm: VmProcess;
  by: number;
}): ((signal: AbortSignal) => Promise<Lifeless>)[] {
  const awaited = { generation, files: generationFiles(vmId, generation.number) };
  if (generation.accelerator !== "tcg")
    return [(stop) => silence(awaited, spec.firstOutputTimeoutSeconds * 1000, stop)];
  // With less than half of the time a busy host may not even start it again, and a guest that is merely odd may come up.
  return kernel.arch === "x86_64" ? [(stop) => hang(awaited, { vm, by, signal: stop })] : [];
}

/** Writes down that it answers. */
export async function markReady(attempt: Attempt, options: BootOptions): Promise<Attempt> {
  const ready: Attempt = { ...attempt, phase: "ready" };
  await writeRecord(recordOf(ready, options));
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
  monitor: QmpConnection,
  { apiPort, sshPort }: Pick<VmSpec, "apiPort" | "sshPort">,
  guestApiPort: number,
): Promise<BoundPorts> {
  if (apiPort !== 0 && sshPort !== 0) return { boundApiPort: apiPort, boundSshPort: sshPort };
  return await boundPorts(monitor, { guestApiPort, sshPort });
}

/** Clears away a start that another follows. */
export async function removeGeneration({ vmId, generation }: Attempt): Promise<void> {
  const files = generationFiles(vmId, generation.number);
  // The shell above QEMU has a last line to write.
  await readEnding(files);
  await rm(files.dir, removal);
}
