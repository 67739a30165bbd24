/** Tells what a VM is now: by its process, its monitor, its guest, and what it left behind. */
import { claimVm, MicroVmError } from "../launcher/index.js";
import { observed } from "./drift.js";
import { inputsOf, outputsOf, RUNNING, type Inputs, type State } from "./inputs.js";

export interface ReadResult {
  id?: string;
  props?: State;
  /** What stands for the inputs from now on, so that the next preview shows what differs from the program. */
  inputs?: Inputs;
}

/** A VM whose record is gone is gone from the state; one that stopped, or does not answer, is a state to tell. */
export async function read(id: string, props: Partial<State>): Promise<ReadResult> {
  // Only a refresh comes with our own outputs.
  const isRefresh = props.vmId !== undefined;
  if (isRefresh) await claimVm(id);
  const found = await observed(id, props);
  if (found === undefined) {
    // An empty answer to a look-up would succeed.
    if (isRefresh) return {};
    throw new MicroVmError("VmNotFound", `there is no VM ${id} on this host`);
  }
  const { status, drift } = found;
  const outputs = outputsOf(drift ? { ...status, status: drift.what } : status);
  const condition = drift?.what ?? RUNNING;
  if (!isRefresh || condition === (props.condition ?? RUNNING))
    return { id, props: { ...(props as State), ...outputs } };
  const seen = { ...(props as State), condition };
  return { id, props: { ...seen, ...outputs }, inputs: inputsOf(seen) };
}
