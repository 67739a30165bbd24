/**
 * The operations of a VM's life on this host: create, update, destroy. Each starts from the record and the live
 * evidence, never from the memory of a process.
 */
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { basename, extname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../errors.js";
import { boot, type BootOptions, type Progress } from "./boot.js";
import { readEnding } from "./ending.js";
import { contentFingerprint } from "./fingerprint.js";
import { assertPortFree } from "./ports.js";
import { prepare } from "./prepare.js";
import { findVmProcess, stillRuns } from "./process.js";
import {
  generationFiles,
  listRecords,
  readRecord,
  removeRecord,
  writeRecord,
  type Owner,
  type VmRecord,
} from "./record.js";
import { shutdownProcess, type ShutdownOptions, type ShutdownReport } from "./shutdown.js";
import { parseSpec, withDefaults, type VmSpec, type VmSpecInput } from "./spec.js";
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
): Promise<VmStatus> {
  const record: VmRecord = {
    format: 1,
    vmId,
    createdAt: new Date().toISOString(),
    phase: "creating",
    ...what,
  };
  try {
    const preparation = await prepared(record.spec, options);
    return await statusOfRecord(await boot(record, preparation, options));
  } catch (error) {
    await removeUnlessRunning(vmId);
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
  if (record && (await processOf(record)) === undefined) await removeRecord(record);
}

const processOf = async ({ vmId, generation }: VmRecord): Promise<number | undefined> =>
  generation && (await findVmProcess(generation.uuid, generationFiles(vmId, generation.number).pidFile));

/**
 * Makes the VM what `input` says. The same spec and files on a VM that runs change nothing; otherwise everything that can be
 * checked is, and only then the old generation is powered down and the next one booted. A VM whose record is gone is
 * launched anew under its id.
 */
export async function updateVm(
  vmId: string,
  input: VmSpecInput,
  options: CreateOptions = {},
): Promise<VmStatus> {
  const spec = parseSpec(input);
  const old = await readRecord(vmId);
  const owner = options.owner ?? old?.owner ?? null;
  const name = options.name === undefined ? (old?.name ?? vmId) : checkedName(options.name);
  if (old === undefined) return await launchNew(vmId, { name, owner, spec }, options);

  const next: VmRecord = { ...old, owner, name, spec };
  try {
    const sameSpec = isDeepStrictEqual(withDefaults(old.spec), spec);
    if (sameSpec && isUp(await statusOfRecord(old)) && (await hasSameContent(old))) {
      await writeRecord(next);
      return await statusOfRecord(next);
    }
    const preparation = await prepared(spec, options);
    await assertNewPortsFree(spec, old);
    await stopGeneration(old, options);
    const ready = await boot(next, preparation, options);
    if (old.generation)
      await rm(generationFiles(vmId, old.generation.number).dir, { recursive: true, force: true });
    return await statusOfRecord(ready);
  } catch (error) {
    throw cancelledOr(error, options.signal);
  }
}

const hasSameContent = async ({ spec, generation }: VmRecord): Promise<boolean> =>
  generation?.contentFingerprint === (await contentFingerprint(spec));

/** Before the VM that runs is stopped for one that could not start. */
async function assertNewPortsFree(spec: VmSpec, { generation }: VmRecord): Promise<void> {
  if (spec.apiPort !== generation?.boundApiPort)
    await assertPortFree(spec.apiPort, "apiPort", spec.bindAddress);
  if (spec.sshPort !== undefined && spec.sshPort !== generation?.boundSshPort)
    await assertPortFree(spec.sshPort, "sshPort", spec.bindAddress);
}

async function stopGeneration(record: VmRecord, { onProgress }: Progress): Promise<void> {
  await writeRecord({ ...record, phase: "stopping" });
  const report = await shutdownProcess(record);
  onProgress?.(describeShutdown(report));
  // QEMU's last thread closes its ports; its exit status is written after that, and the next generation wants them.
  if (record.generation) await readEnding(generationFiles(record.vmId, record.generation.number), 2000);
}

/** Powers the VM down and removes every trace of it. One that is not recorded any more is no error. */
export async function destroyVm(
  vmId: string,
  options: ShutdownOptions & Progress = {},
): Promise<ShutdownReport> {
  const record = await readRecord(vmId);
  if (record === undefined) return { rung: "gone", millis: 0 };
  if (record.phase === "ready") await writeRecord({ ...record, phase: "stopping" });
  const report = await shutdownProcess(record, options);
  options.onProgress?.(describeShutdown(report));
  await removeRecord(record);
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

/** Removes what launches of this owner left when they died: only records that never became ready, and whose launcher is gone. */
async function clearInterrupted(owner: Owner): Promise<void> {
  for (const record of await listRecords()) {
    if (record.phase !== "creating" || !isDeepStrictEqual(record.owner, owner)) continue;
    if (record.launcher && (await stillRuns(record.launcher))) continue;
    await shutdownProcess(record, { from: "quit" });
    await removeRecord(record);
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
