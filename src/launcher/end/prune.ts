/** Removes what is left of VMs that are over, and what no record names. A VM that runs is never touched. */
import { readdir } from "node:fs/promises";
import { MicroVmError, systemErrorCode } from "../../errors.js";
import { vmsDir } from "../../paths.js";
import {
  folderless,
  leftByRemovals,
  leftOfVm,
  staleSocketFolders,
  type Finding,
  type Leftover,
} from "./leftovers.js";
import { vmLockHolder, withVmLock } from "../record/lock.js";
import { isVmId, vmDir } from "../record/vm-folder.js";

export interface PruneOptions {
  /** Also what is left of Pulumi stacks' VMs. Default false: their next `up` relaunches or removes them. */
  all?: boolean | undefined;
  /** Only tells what would be removed. Default false. */
  dryRun?: boolean | undefined;
}

export interface KeptLeftover extends Leftover {
  /** What to do about it. */
  hint: string;
  /** It was to go, or to be judged, and that did not work. */
  failed?: true;
}

export interface PruneReport {
  /** What was removed; with `dryRun` what would be. */
  removed: Leftover[];
  /** What was left where it is: a Pulumi stack's, not certain to be over, or not to be removed. */
  kept: KeptLeftover[];
}

/**
 * Removes VMs that have ended and launches that were interrupted, folders without a readable record of which nothing runs,
 * and what interrupted writes and removals left. A VM that somebody is at work on is passed over, so two of these at once
 * are no error. Throws Io when the VMs or the host's processes cannot be listed; what cannot be judged or removed is among the kept.
 */
export async function pruneVms(options: PruneOptions = {}): Promise<PruneReport> {
  const entries = await readdir(vmsDir(), { withFileTypes: true }).catch((cause: unknown) => {
    if (systemErrorCode(cause) === "ENOENT") return [];
    throw new MicroVmError("Io", `cannot list the VMs: ${(cause as Error).message}`, { cause });
  });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const stray = [
    ...leftByRemovals(folders),
    ...(await folderless(folders)),
    ...(await staleSocketFolders(folders)),
  ];
  const vmIds = folders.filter(isVmId);
  const outcomes: PruneReport[] = [];
  for (let at = 0; at < vmIds.length; at += atOnce) {
    const some = vmIds.slice(at, at + atOnce);
    outcomes.push(...(await Promise.all(some.map((vmId) => pruneVm(vmId, options)))));
  }
  outcomes.push(await settle(stray, options));
  return {
    removed: outcomes.flatMap(({ removed }) => removed),
    kept: outcomes.flatMap(({ kept }) => kept),
  };
}

/** Each VM takes some file descriptors, of which a process has perhaps a thousand. */
const atOnce = 16;

const nothing: PruneReport = { removed: [], kept: [] };

/** One of which nothing can be said hides none of the others. */
const pruneVm = async (vmId: string, options: PruneOptions): Promise<PruneReport> =>
  await pruneIdle(vmId, options).catch((error: unknown) => {
    if (!(error instanceof MicroVmError)) throw error;
    const { message, hint = "" } = error;
    return { removed: [], kept: [{ vmId, path: vmDir(vmId), what: message, hint, failed: true }] };
  });

async function pruneIdle(vmId: string, options: PruneOptions): Promise<PruneReport> {
  if (await vmLockHolder(vmId)) return nothing;
  const look = () => leftOfVm(vmId, options);
  const found = await look();
  if (options.dryRun || found.every(({ remove }) => remove === undefined))
    return await settle(found, options);
  try {
    // Looked at again: it may have been relaunched before the lock was ours. A full disk takes no lock, and wants to be emptied.
    const work = async () => await settle(await look(), options);
    return await withVmLock(vmId, work, { waitMs: 0, evenWithout: true });
  } catch (error) {
    // Somebody else took it up or removed it meanwhile.
    if (error instanceof MicroVmError && ["VmBusy", "VmNotFound"].includes(error.code)) return nothing;
    throw error;
  }
}

async function settle(findings: Finding[], { dryRun = false }: PruneOptions): Promise<PruneReport> {
  const report: PruneReport = { removed: [], kept: [] };
  for (const { leftover, hint = "", remove } of findings) {
    try {
      if (!dryRun) await remove?.();
      if (remove) report.removed.push(leftover);
      else report.kept.push({ ...leftover, hint });
    } catch (error) {
      report.kept.push({
        ...leftover,
        what: `it cannot be removed: ${(error as Error).message}`,
        hint: "Check that the folder can be written, then prune again.",
        failed: true,
      });
    }
  }
  return report;
}
