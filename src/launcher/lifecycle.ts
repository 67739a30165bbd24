/**
 * The four operations of a VM's life on this host: create, update, stop, and the check before them. Each starts from
 * the record and the live evidence, never from the memory of a process.
 */
import { randomBytes } from "node:crypto";
import { basename, extname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../errors.js";
import { boot, type Progress } from "./boot.js";
import { contentFingerprint } from "./fingerprint.js";
import { prepare } from "./prepare.js";
import { listRecords, readRecord, removeRecord, writeRecord, type Owner, type VmRecord } from "./record.js";
import { shutdownProcess, type ShutdownOptions, type ShutdownReport } from "./shutdown.js";
import { parseSpec, type VmSpecInput } from "./spec.js";
import { statusOfRecord, type VmStatus } from "./status.js";

export interface CreateOptions extends Progress {
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
  if (options.owner) await clearInterrupted(options.owner);
  const name = options.name ?? basename(spec.rvfPath, extname(spec.rvfPath));
  const vmId = newVmId(name);
  const createdAt = new Date().toISOString();
  return await launchRecord(
    { format: 1, vmId, name, owner: options.owner ?? null, createdAt, phase: "creating", spec },
    options,
  );
}

async function launchRecord(record: VmRecord, progress: Progress): Promise<VmStatus> {
  try {
    const preparation = await prepare(record.spec);
    preparation.warnings.forEach((warning) => progress.onProgress?.(`warning: ${warning}`));
    progress.signal?.throwIfAborted();
    return await statusOfRecord(await boot(record, preparation, progress));
  } catch (error) {
    await removeRecord(record.vmId);
    throw cancelledOr(error, progress.signal);
  }
}

/**
 * Makes the VM what `input` says. The same spec and files on a VM that runs change nothing; otherwise the new kernel and QEMU are
 * prepared and checked first, and only then the old generation is powered down and the next one booted. A VM whose
 * record is gone is launched anew under its id.
 */
export async function updateVm(
  vmId: string,
  input: VmSpecInput,
  options: CreateOptions = {},
): Promise<VmStatus> {
  const spec = parseSpec(input);
  const old = await readRecord(vmId);
  const owner = options.owner ?? old?.owner ?? null;
  const name = options.name ?? old?.name ?? vmId;
  if (old === undefined) {
    const createdAt = new Date().toISOString();
    return await launchRecord({ format: 1, vmId, name, owner, createdAt, phase: "creating", spec }, options);
  }
  const next: VmRecord = { ...old, owner, name, spec };
  const status = await statusOfRecord(old);
  try {
    const preparation = await prepare(spec);
    const sameContent = old.generation?.contentFingerprint === (await contentFingerprint(spec));
    if (status.state === "running" && sameContent && isDeepStrictEqual(old.spec, spec)) {
      await writeRecord(next);
      return await statusOfRecord(next);
    }
    preparation.warnings.forEach((warning) => options.onProgress?.(`warning: ${warning}`));
    options.signal?.throwIfAborted();
    await stopGeneration(old, options);
    return await statusOfRecord(await boot(next, preparation, options));
  } catch (error) {
    throw cancelledOr(error, options.signal);
  }
}

async function stopGeneration(record: VmRecord, { onProgress }: Progress): Promise<ShutdownReport> {
  await writeRecord({ ...record, phase: "stopping" });
  const report = await shutdownProcess(record);
  onProgress?.(describeShutdown(report));
  return report;
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
  await removeRecord(vmId);
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

/** Removes what launches of this owner left when they died: only records that never became ready. */
async function clearInterrupted(owner: Owner): Promise<void> {
  for (const record of await listRecords()) {
    if (record.phase === "creating" && isDeepStrictEqual(record.owner, owner)) {
      await shutdownProcess(record, { from: "quit" });
      await removeRecord(record.vmId);
    }
  }
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
