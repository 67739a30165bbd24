/** Launches the VM of a new resource, or takes over the one that an interrupted create of it has left. */
import { createVm } from "../launcher/index.js";
import { adopt } from "./adopt.js";
import { assertEngineAlive, leaving } from "./engine.js";
import { nameOf, outputsOf, specOf, type Inputs, type State } from "./inputs.js";
import { newsOf } from "./words.js";

export interface CreateResult {
  id: string;
  outs: State;
}

export async function create(inputs: Inputs): Promise<CreateResult> {
  const name = nameOf(inputs);
  const options = {
    ...{ name, owner: inputs.owner, signal: leaving },
    ...{ confirm: assertEngineAlive, onProgress: newsOf(name) },
  };
  const status = (await adopt(inputs, options)) ?? (await createVm(specOf(inputs), options));
  return { id: status.vmId, outs: { ...inputs, ...outputsOf(status) } };
}
