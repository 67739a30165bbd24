/** VMs made through the plugin, as `pulumi up` makes them: check, then create. */
import type { Inputs, State } from "../../src/provider/inputs.js";
import { sampleRvf } from "../support/rvf.js";
import { asSent, type Plugin } from "./plugin.js";

export interface Made extends AsyncDisposable {
  id: string;
  inputs: Inputs;
  outs: State;
}

/** Checked inputs of a VM that boots: a free port and no vain try with KVM, unless told otherwise. */
export async function checkedInputs(plugin: Plugin, args: object = {}, resource = "db"): Promise<Inputs> {
  const sent = asSent({ rvfPath: await sampleRvf(), apiPort: 0, enableKvm: false, ...args }, resource);
  const { inputs, failures } = await plugin.check(sent);
  expect(failures).toEqual([]);
  return inputs;
}

export async function makeVm(plugin: Plugin, args?: object, resource?: string): Promise<Made> {
  const inputs = await checkedInputs(plugin, args, resource);
  const { id, outs } = await plugin.create(inputs);
  return { id, inputs, outs, [Symbol.asyncDispose]: async () => await plugin.delete(id, outs) };
}
