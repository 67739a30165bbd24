/** Tells what a VM is now: by its process, its monitor, and what it left behind. */
import { MicroVmError, statusOf } from "../launcher/index.js";
import { outputsOf, type State } from "./inputs.js";

export interface ReadResult {
  id?: string;
  props?: State;
}

/** A VM whose record is gone is gone from the state; one that stopped is a state to tell. */
export async function read(id: string, props: Partial<State>): Promise<ReadResult> {
  const status = await statusOf(id);
  if (status !== undefined) return { id, props: { ...(props as State), ...outputsOf(status) } };
  // Only a refresh comes with our own outputs. Without them this is a look-up, and an empty answer would succeed.
  if (props.vmId !== undefined) return {};
  throw new MicroVmError("VmNotFound", `there is no VM ${id} on this host`);
}
