/** Powers the VM down and removes every trace of it. Needs nothing but the id: no QEMU, no RVF, no former code. */
import { describeShutdown, destroyVm } from "../launcher/index.js";

/** Named `remove` because `delete` is a reserved word; a VM that is already gone is no error. */
export async function remove(id: string): Promise<void> {
  const report = await destroyVm(id);
  // The engine shows a plugin's output under the stack, hence the name in front.
  console.log(`${id}: ${describeShutdown(report)}`);
}
