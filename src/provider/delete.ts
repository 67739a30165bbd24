/** Powers the VM down and removes every trace of it. Needs nothing but the id: no QEMU, no RVF, no former code. */
import { describeShutdown, destroyVm } from "../launcher/index.js";
import { isAdopted } from "./adopt.js";

/** Named `remove` because `delete` is a reserved word; a VM that is already gone is no error. */
export async function remove(id: string): Promise<void> {
  // The engine shows a plugin's output under the stack, hence the name in front.
  if (isAdopted(id)) console.log(`${id}: goes on as the VM of the resource that replaces it`);
  else console.log(`${id}: ${describeShutdown(await destroyVm(id))}`);
}
