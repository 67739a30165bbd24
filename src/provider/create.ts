/** Launches the VM of a new resource. */
import { createVm, destroyVm, MicroVmError } from "../launcher/index.js";
import { engineIsAlive, making } from "./engine.js";
import { outputsOf, specOf, type Inputs, type State } from "./inputs.js";
import { speakable } from "./words.js";

export interface CreateResult {
  id: string;
  outs: State;
}

export async function create(inputs: Inputs): Promise<CreateResult> {
  return await speakable(
    making(async (signal) => {
      const status = await createVm(specOf(inputs), { name: nameOf(inputs), owner: inputs.owner, signal });
      if (!engineIsAlive()) {
        await destroyVm(status.vmId);
        throw new MicroVmError("Cancelled", "the engine died, so nobody would know of this VM");
      }
      return { id: status.vmId, outs: { ...inputs, ...outputsOf(status) } };
    }),
  );
}

/** The resource's own name, behind its parent's URN where it has one. */
export const nameOf = ({ owner }: Inputs): string => owner.resource.split("::").at(-1)!;
