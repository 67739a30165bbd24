/** Launches the VM of a new resource, or takes over the one that an interrupted create of it has left. */
import { createVm, MicroVmError, statusOf, type CreateOptions, type VmStatus } from "../launcher/index.js";
import { adopt } from "./adopt.js";
import { assertEngineAlive } from "./engine.js";
import { InitFailure } from "./init-failure.js";
import { nameOf, outputsOf, specOf, type Inputs, type State } from "./inputs.js";
import { inTime } from "./time-limit.js";
import { newsOf } from "./words.js";

export interface CreateResult {
  id: string;
  outs: State;
}

export async function create(inputs: Inputs): Promise<CreateResult> {
  const name = nameOf(inputs);
  const status = await inTime("create", inputs, async (signal) => {
    const { owner } = inputs;
    const options = { name, owner, signal, confirm: assertEngineAlive, onProgress: newsOf(inputs) };
    return (await adopt(inputs, options)) ?? (await launched(inputs, options));
  });
  return { id: status.vmId, outs: { ...inputs, ...outputsOf(status) } };
}

async function launched(inputs: Inputs, options: CreateOptions): Promise<VmStatus> {
  try {
    return await createVm(specOf(inputs), { ...options, keepUnready: true });
  } catch (error) {
    const vmId = error instanceof MicroVmError ? error.vmId : undefined;
    const status = vmId && (await statusOf(vmId));
    if (!status) throw error;
    throw new InitFailure(status.vmId, { ...inputs, ...outputsOf(status) }, error);
  }
}
