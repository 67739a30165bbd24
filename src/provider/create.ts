/** Launches the VM of a new resource. */
import { createVm, destroyVm, MicroVmError } from "../launcher/index.js";
import { engineIsAlive, making } from "./engine.js";
import { nameOf, outputsOf, specOf, type Inputs, type State } from "./inputs.js";
import { newsOf } from "./words.js";

export interface CreateResult {
  id: string;
  outs: State;
}

export async function create(inputs: Inputs): Promise<CreateResult> {
  const name = nameOf(inputs);
  return await making(async (signal) => {
    const options = { name, owner: inputs.owner, signal, onProgress: newsOf(name) };
    const status = await createVm(specOf(inputs), options);
    if (!engineIsAlive()) {
      await destroyVm(status.vmId);
      throw new MicroVmError("Cancelled", "the engine died, so nobody would know of this VM");
    }
    return { id: status.vmId, outs: { ...inputs, ...outputsOf(status) } };
  });
}
