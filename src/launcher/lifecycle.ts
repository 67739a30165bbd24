/**
 * The operations of a VM's life on this host: create, update, destroy. Each starts from the record and the live
 * evidence, never from the memory of a process.
 */
import { randomBytes } from "node:crypto";
import { basename, extname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../errors.js";
import { boot, type BootOptions, type Progress } from "./boot.js";
import { readEnding } from "./ending.js";
import { changePorts } from "./forwards.js";
import { exposuresOf } from "./exposure.js";
import { contentFingerprint } from "./fingerprint.js";
import { removeUnrecorded } from "./leftovers.js";
import { vmLockHolder, withVmLock } from "./lock.js";
import { connectMonitor } from "./monitor.js";
import { assertPortFree } from "./ports.js";
import { prepare } from "./prepare.js";
import { findVmProcess, type VmProcess } from "./process.js";
import {
  generationFiles,
  listRecords,
  readRecord,
  removeRecord,
  removeVmDir,
  writeRecord,
  type Generation,
  type Owner,
  type VmRecord,
} from "./record.js";
import {
  shutdownProcess,
  shutdownUnrecorded,
  type ShutdownOptions,
  type ShutdownReport,
} from "./shutdown.js";
import { parseSpec, specKeys, withDefaults, type VmSpec, type VmSpecInput } from "./spec.js";
import { isUp, statusOfRecord, type VmStatus } from "./status.js";

export interface CreateOptions extends BootOptions {
  /** What a person calls it; by default the RVF's name. */
  name?: string | undefined;
  owner?: Owner | undefined;
}

/**
 * Launches a new VM and waits until it answers. When it throws nothing of it is left: no process, no file. A launch for
 * the same owner that was interrupted before it became ready is cleared away first.
 */
export async function createVm(input: VmSpecInput, options: CreateOptions = {}): Promise<VmStatus> {
  const spec = parseSpec(input);
  const { owner = null } = options;
  const name = options.name === undefined ? nameOfFile(spec.rvfPath) : checkedName(options.name);
  if (owner) await clearInterrupted(owner);
  return await launchNew(newVmId(name), { name, owner, spec }, options);
}

async function launchNew(
  vmId: string,
  what: Pick<VmRecord, "name" | "owner" | "spec">,
  options: CreateOptions,
  clear?: () => Promise<unknown>,
): Promise<VmStatus> {
  const record: VmRecord = {
    format: 2,
    vmId,
    createdAt: new Date().toISOString(),
    phase: "creating",
    ...what,
  };
  try {
    const preparation = await prepared(record.spec, options);
    const launchLocked = async () => {
      if (await readRecord(vmId))
        throw new MicroVmError("VmBusy", `${vmId} was launched by another process meanwhile`);
      await clear?.();
      try {
        return await statusOfRecord(await boot(record, preparation, options));
      } catch (error) {
        await removeUnlessRunning(vmId);
        throw error;
      }
    };
    return await withVmLock(vmId, launchLocked, { makeFolder: true });
  } catch (error) {
    throw cancelledOr(error, options.signal);
  }
}

async function prepared(spec: VmSpec, { onProgress, signal }: Progress) {
  const preparation = await prepare(spec);
  for (const warning of preparation.warnings) onProgress?.(`warning: ${warning}`);
  signal?.throwIfAborted();
  return preparation;
}

/** A record outlives a QEMU that could not be stopped, whatever else went wrong. */
async function removeUnlessRunning(vmId: string): Promise<void> {
  const record = await readRecord(vmId);
  if (record === undefined) await removeVmDir(vmId);
  else if ((await processOf(record)) === undefined) await removeRecord(record);
}

const processOf = async ({ vmId, generation }: VmRecord): Promise<VmProcess | undefined> =>
  generation && (await findVmProcess(generation, generationFiles(vmId, generation.number).pidFile));

/**
 * Makes the VM what `input` says, with as little as that takes: nothing where nothing changed, a new record where only deadlines
 * did, other forwards in the running VM for other ports, and for the rest a new generation: everything that can be
 * checked is, and only then the old one is powered down and the next one booted. A VM whose record is gone is launched anew under
 * its id.
 */
export async function updateVm(
  vmId: string,
  input: VmSpecInput,
  options: CreateOptions = {},
): Promise<VmStatus> {
  const spec = parseSpec(input);
  const old = await readRecord(vmId);
  if (old === undefined) {
    const { owner = null, name = vmId } = options;
    const what = { name: checkedName(name), owner, spec };
    // Its files may have been removed under a VM that runs.
    return await launchNew(vmId, what, options, () => shutdownUnrecorded(vmId));
  }
  try {
    return await withVmLock(vmId, () => updateLocked(vmId, spec, options), { signal: options.signal });
  } catch (error) {
    throw cancelledOr(error, options.signal);
  }
}

async function updateLocked(vmId: string, spec: VmSpec, options: CreateOptions): Promise<VmStatus> {
  const old = await readRecord(vmId);
  if (old === undefined)
    throw new MicroVmError("VmNotFound", `${vmId} was removed by another process meanwhile`);
  const { owner = old.owner, name = old.name } = options;
  const next: VmRecord = { ...old, owner, name: checkedName(name), spec };
  const status = await statusOfRecord(old);
  const up = isUp(status) && (await hasSameContent(old));
  const changed = up ? changedKeys(withDefaults(old.spec), spec) : [];
  const moves = changed.some((key) => portKeys.has(key));
  if (up && changed.every((key) => withoutEffect.has(key) || portKeys.has(key))) {
    // Also where nothing moves: an earlier change may have been cut short before it closed what it had to.
    if (old.generation?.guestApiPort && (moves || status.state === "running"))
      return await statusOfRecord(await movePorts(next, old.generation, options));
    if (!moves) {
      await writeRecord(next);
      return await statusOfRecord(next);
    }
  }
  const preparation = await prepared(spec, options);
  await assertNewPortsFree(spec, status.pid === 0 ? undefined : old.generation);
  await stopGeneration(old, options);
  return await statusOfRecord(await boot(next, preparation, options));
}

const changedKeys = (old: Partial<VmSpec>, spec: VmSpec): (keyof VmSpec)[] =>
  specKeys.filter((key) => !isDeepStrictEqual(old[key], spec[key]));

/** What a running VM does not depend on. */
const withoutEffect = new Set<keyof VmSpec>([
  "readyTimeoutSeconds",
  "firstOutputTimeoutSeconds",
  "shutdownTimeoutSeconds",
  "allowUnsafeArgs",
]);

/** What QEMU changes while the guest runs on. */
const portKeys = new Set<keyof VmSpec>(["apiPort", "sshPort", "bindAddress"]);

/** The VM is reached by other ports, and neither its guest nor a connection notices. */
async function movePorts(
  next: VmRecord,
  generation: Generation,
  { onProgress }: Progress,
): Promise<VmRecord> {
  const { guestApiPort = 0 } = generation;
  for (const warning of exposuresOf(next.spec)) onProgress?.(`warning: ${warning}`);
  await using monitor = await connectMonitor(generation, {});
  const start = performance.now();
  let moved = next;
  const isChanged = await changePorts(monitor, { ...next.spec, guestApiPort }, async (bound) => {
    moved = { ...next, generation: { ...generation, ...bound } };
    await writeRecord(moved);
  });
  const millis = (performance.now() - start).toFixed(1);
  if (isChanged) onProgress?.(`ports changed on the running VM in ${millis} ms`);
  return moved;
}

const hasSameContent = async ({ spec, generation }: VmRecord): Promise<boolean> =>
  generation?.contentFingerprint === (await contentFingerprint(spec));

/** Before the VM that runs, and has its ports, is stopped for one that could not start. */
async function assertNewPortsFree(spec: VmSpec, runs: Generation | undefined): Promise<void> {
  if (spec.apiPort !== runs?.boundApiPort) await assertPortFree(spec.apiPort, "apiPort", spec.bindAddress);
  if (spec.sshPort !== undefined && spec.sshPort !== runs?.boundSshPort)
    await assertPortFree(spec.sshPort, "sshPort", spec.bindAddress);
}

async function stopGeneration(record: VmRecord, { onProgress }: Progress): Promise<void> {
  await writeRecord({ ...record, phase: "stopping" });
  const report = await shutdownProcess(record);
  onProgress?.(describeShutdown(report));
  // QEMU's last thread closes its ports; its exit status is written after that, and the next generation wants them.
  if (record.generation) await readEnding(generationFiles(record.vmId, record.generation.number), 2000);
}

/**
 * Powers the VM down and removes every trace of it; one without a readable record is found by its folder's name. One that is not
 * there any more is no error. From `sigkill` it waits for
 * nobody who is working on the VM.
 */
export async function destroyVm(
  vmId: string,
  options: ShutdownOptions & Progress = {},
): Promise<ShutdownReport> {
  const record = await readIntact(vmId);
  const killed = record && options.from === "sigkill" ? await shutdownProcess(record, options) : undefined;
  const report = await withVmLock(vmId, () => destroyLocked(vmId, options), {
    evenWithout: true,
    signal: options.signal,
  }).catch((error: unknown) => {
    // It has no folder; somebody else may have removed it while we waited.
    if (error instanceof MicroVmError && error.code === "VmNotFound") return destroyUnrecorded(vmId, options);
    throw error;
  });
  const first = killed && killed.rung !== "gone" ? killed : report;
  options.onProgress?.(describeShutdown(first));
  return first;
}

async function destroyLocked(vmId: string, options: ShutdownOptions): Promise<ShutdownReport> {
  const record = await readIntact(vmId);
  if (record === undefined) return await destroyUnrecorded(vmId, options);
  // For whoever looks meanwhile; a disk that takes no more keeps no VM alive.
  if (record.phase === "ready") await writeRecord({ ...record, phase: "stopping" }).catch(() => {});
  const report = await shutdownProcess(record, options);
  await removeRecord(record);
  return report;
}

/** Undefined also where the record was damaged: whoever removes the VM needs none. */
const readIntact = async (vmId: string): Promise<VmRecord | undefined> =>
  await readRecord(vmId).catch((error: unknown) => {
    if (error instanceof MicroVmError && error.code === "Io") return undefined;
    throw error;
  });

async function destroyUnrecorded(vmId: string, options: ShutdownOptions): Promise<ShutdownReport> {
  const report = await shutdownUnrecorded(vmId, options);
  await removeUnrecorded(vmId);
  return report;
}

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

/** Removes what launches of this owner left when they died: only records that never became ready, and on which nobody works. */
async function clearInterrupted(owner: Owner): Promise<void> {
  for (const { vmId, phase, owner: other } of await listRecords()) {
    if (phase !== "creating" || !isDeepStrictEqual(other, owner) || (await vmLockHolder(vmId))) continue;
    await destroyVm(vmId, { from: "quit" });
  }
}

const nameOfFile = (path: string): string => basename(path, extname(path)).replace(/\p{Cc}/gu, "?");

/** A name is a word among others on a terminal's line. */
function checkedName(name: string): string {
  if (name !== "" && !/\p{Cc}/u.test(name)) return name;
  const what = name === "" ? "must not be empty" : "must not contain line breaks or other control characters";
  throw new MicroVmError("InvalidArgument", `name: ${what}`, { property: "name" });
}

/** A readable head and 32 random bits: an id is never used twice, so a resource and its replacement never share one. */
function newVmId(name: string): string {
  const head = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 32);
  return `${head || "vm"}-${randomBytes(4).toString("hex")}`;
}

function cancelledOr(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!signal?.aborted || error instanceof MicroVmError) return error;
  return new MicroVmError("Cancelled", "the operation was cancelled", { cause: error });
}
