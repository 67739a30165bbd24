/**
 * Whether a stack's state is known to hold a VM. Its create cannot know: the command, the engine or its plugin may die before the
 * answer is saved. So the record says `unclaimed`, with the folder in which the create ran, until an operation comes with the VM's id.
 */
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../../errors.js";
import type { Progress } from "../progress.js";
import { withVmLock } from "./lock.js";
import { listRecords, readRecord, type Owner, type VmRecord } from "./record.js";
import { writeRecord } from "./write.js";

/** What a new VM's record says of it. */
export const unclaimed = (owner: Owner | null): Pick<VmRecord, "unclaimed"> =>
  owner === null ? {} : { unclaimed: process.cwd() };

/** Somebody has the VM's id. Never fails, and waits for nobody: whoever comes next with the id can do it too. */
export async function claimVm(vmId: string): Promise<void> {
  try {
    if ((await readRecord(vmId))?.unclaimed === undefined) return;
    const claim = async () => {
      const record = await readRecord(vmId);
      if (record) await writeRecord({ ...record, unclaimed: undefined });
    };
    await withVmLock(vmId, claim, { waitMs: 0 });
  } catch (error) {
    if (!(error instanceof MicroVmError)) throw error;
  }
}

/**
 * The VM that a create of this owner has made in this folder and that nobody came back to, if there is one. Waits for whoever
 * is at work on such a VM: a plugin that outlived its engine clears away what it was making.
 */
export async function unclaimedVm(owner: Owner, { signal }: Progress): Promise<string | undefined> {
  const all = async () =>
    (await listRecords()).filter(
      (record) => record.unclaimed === process.cwd() && isDeepStrictEqual(record.owner, owner),
    );
  for (const { vmId } of await all()) await awaitRest(vmId, signal);
  return (await all()).filter(({ phase }) => phase === "ready").at(-1)?.vmId;
}

/** Until nobody works on the VM, or that took too long. */
async function awaitRest(vmId: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await withVmLock(vmId, async () => {}, { signal });
  } catch (error) {
    if (!(error instanceof MicroVmError) || error.code === "Cancelled") throw error;
  }
}

/**
 * Makes the VM the stack's, whose state then has to hold it. Throws VmBusy when it is another stack's, unless `force`; VmNotRunning
 * when it never came up.
 */
export async function giveVm(vmId: string, owner: Owner, { force = false } = {}): Promise<VmRecord> {
  return await withVmLock(vmId, async () => {
    const record = await readRecord(vmId);
    if (record?.phase !== "ready" || record.generation === undefined)
      throw new MicroVmError("VmNotRunning", `${vmId} never came up`, {
        hint: `\`microvm kill ${vmId}\` removes it.`,
      });
    const { owner: present } = record;
    if (present !== null && !isDeepStrictEqual(present, owner) && !force)
      throw new MicroVmError(
        "VmBusy",
        `${vmId} is ${present.resource} of the Pulumi stack ${present.project}/${present.stack}`,
        { hint: "Have that stack let go of it (`pulumi state delete`), then use --force." },
      );
    const given: VmRecord = { ...record, owner, name: owner.resource, unclaimed: undefined };
    await writeRecord(given);
    return given;
  });
}
