/** Takes up what an interrupted create of the resource has left, so that there are never two VMs for one resource. */
import {
  destroyVm,
  MicroVmError,
  unclaimedVm,
  updateVm,
  type CreateOptions,
  type VmStatus,
} from "../launcher/index.js";
import { specOf, type Inputs } from "./inputs.js";

const adopted = new Set<string>();

/** Makes the VM that is there what the inputs say. Undefined where there is none. When it throws nothing of it is left. */
export async function adopt(inputs: Inputs, options: CreateOptions): Promise<VmStatus | undefined> {
  const vmId = await unclaimedVm(inputs.owner, options);
  if (vmId === undefined) return undefined;
  options.onProgress?.(`takes over ${vmId}, which an earlier up had started and not come back to`, "news");
  try {
    const status = await updateVm(vmId, specOf(inputs), options);
    adopted.add(vmId);
    return status;
  } catch (error) {
    // Somebody else is at work on it, or has removed it.
    if (error instanceof MicroVmError && ["VmBusy", "VmNotFound"].includes(error.code)) return undefined;
    await destroyVm(vmId, { from: options.signal?.aborted ? "sigkill" : "quit" });
    throw error;
  }
}

/**
 * Whether this phase's create of the resource has taken over that very VM. A delete of it then is one of a forced replacement that
 * creates first, and whose create could not tell that the VM was in the state.
 */
export const isAdopted = (vmId: string): boolean => adopted.has(vmId);
