/** Looks for what VMs that are over have left on this host. It changes nothing; `prune.ts` does. */
import { lstat, readdir, rm } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { MicroVmError } from "../../errors.js";
import { shortSocketDir, vmsDir } from "../../paths.js";
import { settle } from "../change/handover.js";
import { processNaming, realOf, vmProcessesBelow } from "../host/process.js";
import {
  generationsOf,
  processOf,
  readRecord,
  removeRecord,
  Worthless,
  type Owner,
  type VmRecord,
} from "../record/record.js";
import { isHalfWritten } from "../record/write.js";
import { generationFiles, isVmId, removal, removedPrefix, removeVmDir, vmDir } from "../record/vm-folder.js";
import { statusOfRecord } from "../evidence/status.js";

export interface Leftover {
  /** Absent where it cannot be told. */
  vmId?: string;
  /** The folder or file. */
  path: string;
  /** What it is, in words. */
  what: string;
}

/** Something left, with how it is removed; or, where it is not ours to remove, what to do about it. */
export interface Finding {
  leftover: Leftover;
  remove?: () => Promise<unknown>;
  hint?: string;
}

/** The whole VM where it is over; else what a killed writer left in its folder, and the VM where it is in doubt. */
export async function leftOfVm(
  vmId: string,
  { all = false }: { all?: boolean | undefined },
): Promise<Finding[]> {
  const record = await readRecord(vmId).catch((error: unknown) => error as MicroVmError);
  const found = await (record === undefined
    ? withoutRecord(vmId, "a folder without a record")
    : record instanceof MicroVmError
      ? withUnreadable(vmId, record)
      : withRecord(record, all));
  return found?.remove ? [found] : [...(await halfWritten(vmId)), ...(found ? [found] : [])];
}

async function withRecord(record: VmRecord, all: boolean): Promise<Finding | undefined> {
  const { vmId, phase, next, former, owner } = record;
  const processes = await Promise.all(generationsOf(record).map((one) => processOf(vmId, one)));
  const runs = processes.some((vm) => vm !== undefined);
  const found = (what: string): Leftover => ({ vmId, path: vmDir(vmId), what });
  if (runs) {
    const beside = next ?? former;
    if (phase === "ready" && beside) {
      const leftover = {
        vmId,
        path: generationFiles(vmId, beside.number).dir,
        what: "an interrupted update",
      };
      return { leftover, remove: async () => void (await settle(record, {})) };
    }
    if (phase === "ready") return owner && record.unclaimed !== undefined ? orphan(record, owner) : undefined;
    const how = record.failure === undefined ? "was interrupted" : "failed";
    const what = `${phase === "creating" ? "its launch" : "its stop"} ${how}, and QEMU runs`;
    return { leftover: found(what), hint: `\`microvm stop ${vmId}\` ends it.` };
  }
  const isInterrupted = phase === "creating" && record.failure === undefined;
  const how = isInterrupted ? "its launch was interrupted" : (await statusOfRecord(record)).status;
  if (owner === null || all) return { leftover: found(how), remove: () => removeRecord(record) };
  return {
    leftover: found(`${how}; it belongs to the Pulumi stack ${owner.project}/${owner.stack}`),
    hint: "`pulumi up` starts it again, `pulumi destroy` removes it; `microvm prune --all` removes it here alone.",
  };
}

/** It may be in order: no stack comes back to a VM before its next `up`, `preview` or `refresh`. */
const orphan = ({ vmId }: VmRecord, { project, stack }: Owner): Finding => ({
  leftover: {
    vmId,
    path: vmDir(vmId),
    what: `it runs, and the Pulumi stack ${project}/${stack} has not come back to it since it was made`,
  },
  hint: `After a first \`pulumi up\` that is as it should be. If it was interrupted, the next \`pulumi up\` takes it over; \`microvm stop ${vmId}\` ends it.`,
});

/** It may be a VM's all the same, where it only could not be read or is a newer version's. */
async function withUnreadable(vmId: string, error: MicroVmError): Promise<Finding> {
  if (error.cause instanceof Worthless) return await withoutRecord(vmId, error.message);
  return { leftover: { vmId, path: vmDir(vmId), what: error.message }, hint: error.hint ?? "" };
}

/** Its uuid is not known, but the command lines of QEMU and of the shell above it name the VM's files. */
async function withoutRecord(vmId: string, what: string): Promise<Finding> {
  const leftover = { vmId, path: vmDir(vmId), what };
  const pid = await processNaming(wordsOf(leftover.path));
  if (pid === undefined) return { leftover, remove: () => removeUnrecorded(vmId) };
  return { leftover, hint: `Process ${pid} may be this VM: \`microvm kill ${vmId}\` ends and removes it.` };
}

export async function removeUnrecorded(vmId: string): Promise<boolean> {
  await rm(shortSocketDir(vmId), { recursive: true, force: true });
  return await removeVmDir(vmId);
}

async function halfWritten(vmId: string): Promise<Finding[]> {
  const names = await readdir(vmDir(vmId)).catch(() => []);
  return names
    .filter(isHalfWritten)
    .map((name) => removable({ vmId, path: join(vmDir(vmId), name), what: "a half-written record" }));
}

/** QEMUs whose VM's folder was removed under them. */
export async function folderless(folders: readonly string[]): Promise<Finding[]> {
  return (await vmProcessesBelow(vmsDir())).flatMap(({ pid, pidFile }) => {
    const [vmId = ""] = relative(realOf(vmsDir()), pidFile).split("/");
    if (folders.includes(vmId)) return [];
    const what = `process ${pid} runs, and its files were removed`;
    return [{ leftover: { vmId, path: vmDir(vmId), what }, hint: `\`microvm kill ${vmId}\` ends it.` }];
  });
}

/** Folders that had begun to be removed. */
export const leftByRemovals = (folders: readonly string[]): Finding[] =>
  folders
    .filter((name) => name.startsWith(removedPrefix))
    .map((name) => removable({ path: join(vmsDir(), name), what: "an interrupted removal" }));

/** Folders of sockets in the system's temporary folder, which QEMU made and no QEMU has, and whose VM has no folder here. */
export async function staleSocketFolders(folders: readonly string[]): Promise<Finding[]> {
  const temporary = dirname(shortSocketDir(""));
  const prefix = basename(shortSocketDir(""));
  const found: Finding[] = [];
  for (const name of await readdir(temporary).catch(() => [])) {
    const vmId = name.slice(prefix.length);
    if (!name.startsWith(prefix) || !isVmId(vmId) || folders.includes(vmId)) continue;
    const path = join(temporary, name);
    if (await isStaleSocketFolder(path))
      found.push(removable({ vmId, path, what: "sockets of a VM that is gone" }));
  }
  return found;
}

/** Other programs have folders there whose names look alike, and VMs of other state folders too. */
async function isStaleSocketFolder(path: string): Promise<boolean> {
  const { uid } = await lstat(path).catch(() => ({ uid: -1 }));
  if (uid !== process.getuid?.()) return false;
  const names = await readdir(path).catch(() => []);
  return (
    names.length > 0 &&
    names.every((name) => /^\d+\.((qmp|ctl|guest)\.)?sock$/.test(name)) &&
    (await processNaming(wordsOf(path))) === undefined
  );
}

const removable = (leftover: Leftover): Finding => ({
  leftover,
  // Somebody else may be removing it too.
  remove: () => rm(leftover.path, removal),
});

/** What a process with files below the folder has on its command line, whichever way led there. */
const wordsOf = (folder: string): string => `/${basename(dirname(folder))}/${basename(folder)}/`;
