/** Launches a VM under a new id. */
import { randomBytes } from "node:crypto";
import { basename, extname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../errors.js";
import type { BootOptions } from "./start/attempt.js";
import type { Progress } from "./progress.js";
import { boot } from "./start/boot.js";
import { unclaimed } from "./record/claim.js";
import { destroyVm } from "./destroy.js";
import { calledOffOr, vmLockHolder, withVmLock } from "./record/lock.js";
import { prepare, type Preparation } from "./plan/prepare.js";
import {
  listRecords,
  processOf,
  readRecord,
  removeRecord,
  type Owner,
  type VmRecord,
} from "./record/record.js";
import { writeRecord } from "./record/write.js";
import { parseSpec, type VmSpec, type VmSpecInput } from "./spec.js";
import { shutdownProcess } from "./end/shutdown.js";
import { statusOfAnswering, type VmStatus } from "./evidence/status.js";
import { isUnready, noteFailure } from "./start/unready.js";
import { assertPortsFree } from "./ports/ports.js";
import { finishRemovals, removeVmDir } from "./record/vm-folder.js";

export interface CreateOptions extends BootOptions {
  /** What a person calls it; by default the RVF's name. */
  name?: string | undefined;
  /** The Pulumi resource that it is for. Until that comes back with the VM's id, the VM counts as unclaimed (claim.ts). */
  owner?: Owner | undefined;
  /** Called when a new VM answers, before anybody else may work on it. When it throws, the VM is removed. */
  confirm?: (() => void) | undefined;
}

/**
 * Launches a new VM and waits until it answers. When it throws nothing of it is left: no process, no file. Only with `keepUnready`
 * one whose QEMU came up and whose guest did not is kept, and the error has its `vmId`. A launch for the same owner that was
 * interrupted before it became ready is cleared away first.
 */
export async function createVm(input: VmSpecInput, options: CreateOptions = {}): Promise<VmStatus> {
  const spec = parseSpec(input);
  const { owner = null } = options;
  const name = options.name === undefined ? nameOfFile(spec.rvfPath) : checkedName(options.name);
  if (owner) await clearInterrupted(owner);
  return await launchNew(newVmId(name), { name, owner, spec, ...unclaimed(owner) }, options);
}

/** The record is new, the id may have been in use: `clear` then sees to what that left. */
export async function launchNew(
  vmId: string,
  what: Pick<VmRecord, "name" | "owner" | "spec" | "unclaimed">,
  given: CreateOptions,
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
    await finishRemovals();
    const preparation = await prepared(record.spec, given);
    const launchLocked = async (signal = given.signal) => {
      const options = { ...given, signal };
      if (await readRecord(vmId))
        throw new MicroVmError("VmBusy", `${vmId} was launched by another process meanwhile`);
      await clear?.();
      try {
        // Sooner than by the start, before which it may have to wait its turn, or have a VM booted to be saved.
        await assertPortsFree(record.spec);
        // It may wait long for its turn, and is to be found meanwhile.
        await writeRecord(record);
        const ready = await boot(record, preparation, options);
        await confirmed(ready, options);
        return statusOfAnswering(ready);
      } catch (error) {
        const told = await calledOffOr(vmId, error);
        const kept = await keptUnready(vmId, told, options);
        if (kept === undefined) await removeUnlessRunning(vmId);
        throw kept ?? told;
      }
    };
    return await withVmLock(vmId, launchLocked, { makeFolder: true, signal: given.signal });
  } catch (error) {
    throw cancelledOr(error, given.signal);
  }
}

/** Checks everything, and says what a user should know. */
export async function prepared(spec: VmSpec, { onProgress, signal }: Progress): Promise<Preparation> {
  const preparation = await prepare(spec, { onProgress, signal });
  for (const warning of preparation.warnings) onProgress?.(`warning: ${warning}`, "news");
  signal?.throwIfAborted();
  return preparation;
}

/** Stops the VM that nobody waits for any more. */
async function confirmed(ready: VmRecord, { confirm, signal }: CreateOptions): Promise<void> {
  try {
    signal?.throwIfAborted();
    confirm?.();
  } catch (error) {
    await shutdownProcess(ready, { from: "quit" });
    throw error;
  }
}

/** The error with the VM's id, where the VM is kept. One that is not has no process after that. */
async function keptUnready(
  vmId: string,
  error: unknown,
  options: CreateOptions,
): Promise<MicroVmError | undefined> {
  if (!options.keepUnready) return undefined;
  try {
    if (error instanceof MicroVmError && (await isUnready(vmId, error, options))) {
      options.confirm?.();
      await noteFailure(vmId, error);
      return new MicroVmError(error.code, error.message, { ...error, vmId, cause: error });
    }
  } catch {
    // Nobody waits for it, or it cannot be written down.
  }
  // A guest that was late was left running, and it may have been called off only after that.
  const record = await readRecord(vmId);
  if (record) await shutdownProcess(record, { from: options.signal?.aborted ? "sigkill" : "quit" });
  return undefined;
}

/** A record outlives a QEMU that could not be stopped, whatever else went wrong. */
async function removeUnlessRunning(vmId: string): Promise<void> {
  const record = await readRecord(vmId);
  if (record === undefined) await removeVmDir(vmId);
  else if (!(await processOf(vmId, record.generation))) await removeRecord(record);
}

/** Removes what launches of this owner in this folder left when they died: unclaimed VMs that are not ready, and on which nobody works. */
async function clearInterrupted(owner: Owner): Promise<void> {
  for (const record of await listRecords()) {
    const { vmId, phase } = record;
    const isLeft =
      record.unclaimed === process.cwd() && phase !== "ready" && isDeepStrictEqual(record.owner, owner);
    if (isLeft && !(await vmLockHolder(vmId))) await destroyVm(vmId, { from: "quit" });
  }
}

/** What a VM of that RVF is called where nobody says how. */
export const nameOfFile = (path: string): string => basename(path, extname(path)).replace(/\p{Cc}/gu, "?");

/** A name is a word among others on a terminal's line. */
export function checkedName(name: string): string {
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

/** What an operation that was called off throws. */
export function cancelledOr(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!signal?.aborted || error instanceof MicroVmError) return error;
  return new MicroVmError("Cancelled", "the operation was cancelled", { cause: error });
}
