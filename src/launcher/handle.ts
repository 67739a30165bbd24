/** A VM as an object: what `launch` and `attach` give. Every call starts from the record and the live VM. */
import { query, type Neighbour, type QueryOptions } from "../client/index.js";
import { MicroVmError } from "../errors.js";
import type { Progress } from "./progress.js";
import { createVm, type CreateOptions } from "./create.js";
import { destroyVm, type DestroyReport } from "./destroy.js";
import { callOff, vmLockHolder, withVmLock } from "./record/lock.js";
import { apiUrl } from "./ports/ports.js";
import type { VmProcess } from "./host/process.js";
import { waitReady } from "./start/ready.js";
import { findRecord, processOf, readRecord, type Generation, type VmRecord } from "./record/record.js";
import { generationFiles } from "./record/vm-folder.js";
import { shutdownVm, type ShutdownReport } from "./end/shutdown.js";
import type { VmSpecInput } from "./spec.js";
import { statusOf, statusOfRecord, type VmStatus } from "./evidence/status.js";

/**
 * Leaving an `await using` block stops the VM and removes its files, as dropping the seed's handle does. A handle that is just
 * forgotten leaves the VM running: it can be found again with `attach`.
 */
export interface MicroVmHandle extends AsyncDisposable {
  readonly vmId: string;
  readonly pid: number;
  readonly apiPort: number;
  readonly sshPort: number | undefined;
  readonly qmpSocket: string;
  readonly url: string;
  /** Waits until the guest answers HTTP. Throws Timeout, QemuExited or VmNotRunning. */
  waitReady(options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<void>;
  /** The `k` nearest neighbours of the vector, nearest first. */
  query(vector: ArrayLike<number>, k: number, options?: QueryOptions): Promise<Neighbour[]>;
  status(): Promise<VmStatus>;
  /** Powers the guest down; QMP quit, SIGTERM and SIGKILL follow where it does not obey. The record stays. */
  shutdown(): Promise<ShutdownReport>;
  /** Ends QEMU at once, and calls off whoever is at work on the VM: no update boots it again. The record stays. */
  kill(): Promise<ShutdownReport>;
  /** Shuts down and removes every file of the VM. */
  destroy(options?: Progress): Promise<DestroyReport>;
}

/** Boots the RVF's kernel and returns once the guest answers. When it throws, nothing of the VM is left. */
export async function launch(config: VmSpecInput, options: CreateOptions = {}): Promise<MicroVmHandle> {
  const { vmId } = await createVm(config, options);
  try {
    return await attach(vmId);
  } catch (error) {
    await destroyVm(vmId);
    throw error;
  }
}

/**
 * A handle for a VM that this or another process started, by id or name. Its fields are as of now; after an update by
 * somebody else its calls find the new generation. Throws VmNotFound, VmNotRunning, or VmBusy while it is being started.
 */
export async function attach(idOrName: string): Promise<MicroVmHandle> {
  const record = await findRecord(idOrName);
  const { vmId, spec } = record;
  const { vm, generation } = await running(record);
  const current = async () => (await readRecord(vmId)) ?? record;
  const stop = async () => await shutdownVm(await current());
  return {
    vmId,
    pid: vm.pid,
    apiPort: generation.boundApiPort ?? 0,
    sshPort: generation.boundSshPort,
    qmpSocket: generation.qmpSocket,
    url: apiUrl(generation.boundApiPort ?? 0, spec.bindAddress),
    waitReady: async ({ timeoutMs = spec.readyTimeoutSeconds * 1000, signal } = {}) => {
      const now = await running(await current());
      const files = generationFiles(vmId, now.generation.number);
      await waitReady({ files, ...now.generation, vm: now.vm, url: now.url, timeoutMs, signal });
    },
    query: async (vector, k, options) =>
      await query((await running(await current())).url, vector, k, options),
    status: async () => (await statusOf(vmId)) ?? (await statusOfRemoved(record)),
    shutdown: async () =>
      await withVmLock(vmId, stop, { evenWithout: true }).catch((error: unknown) => {
        if (error instanceof MicroVmError && error.code === "VmNotFound") return stop();
        throw error;
      }),
    kill: async () => {
      await callOff(vmId);
      return await shutdownVm(await current(), { from: "sigkill" });
    },
    destroy: async (progress) => await destroyVm(vmId, progress),
    [Symbol.asyncDispose]: async () => void (await destroyVm(vmId)),
  };
}

/** Without its files nothing tells how it ended. */
async function statusOfRemoved(record: VmRecord): Promise<VmStatus> {
  const status = await statusOfRecord(record);
  return status.state === "exited" ? { ...status, status: "exited: its files were removed" } : status;
}

/** The VM's process and what it runs as. Throws VmNotRunning or VmBusy. */
async function running(record: VmRecord): Promise<{ vm: VmProcess; url: string; generation: Generation }> {
  const { vmId, spec, generation } = record;
  const vm = await processOf(vmId, generation);
  // Its ports are known with its process; before, those of a former generation may stand there.
  if (generation?.pid === undefined || vm === undefined) throw await notRunning(record);
  return { vm, generation, url: apiUrl(generation.boundApiPort ?? 0, spec.bindAddress) };
}

async function notRunning(record: VmRecord): Promise<MicroVmError> {
  const { vmId } = record;
  const found = await statusOf(vmId);
  const { state, status, consoleLog } = found ?? (await statusOfRemoved(record));
  if (state === "creating" && (await vmLockHolder(vmId)))
    return new MicroVmError("VmBusy", `${vmId} is being started: ${status}`, {
      hint: "Try again when it is ready.",
    });
  const what = `${vmId} is not running: ${status}`;
  if (!found) return new MicroVmError("VmNotRunning", what);
  return new MicroVmError("VmNotRunning", what, {
    hint: `Its console is in ${consoleLog}. \`microvm stop ${vmId}\` removes what is left of it.`,
  });
}
