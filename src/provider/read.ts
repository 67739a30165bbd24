/** Tells what a VM is now: by its process, its monitor, and what it left behind. */
import { claimVm, MicroVmError, statusOf } from "../launcher/index.js";
import { outputsOf, type State } from "./inputs.js";

export interface ReadResult {
  id?: string;
  props?: State;
}

/** A VM whose record is gone is gone from the state; one that stopped is a state to tell. */
export async function read(id: string, props: Partial<State>): Promise<ReadResult> {
  // Only a refresh comes with our own outputs.
  const isRefresh = props.vmId !== undefined;
  if (isRefresh) await claimVm(id);
  const status = await statusOf(id);
  if (status !== undefined) return { id, props: { ...(props as State), ...outputsOf(status) } };
  // An empty answer to a look-up would succeed.
  if (isRefresh) return {};
  throw new MicroVmError("VmNotFound", `there is no VM ${id} on this host`);
}
