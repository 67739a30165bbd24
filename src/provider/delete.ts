/** Powers the VM down and removes every trace of it. Needs nothing but the id: no QEMU, no RVF, no former code. */
import { describeShutdown, destroyVm } from "../launcher/index.js";
import { isAdopted } from "./adopt.js";
import type { State } from "./inputs.js";
import { limitOf } from "./time-limit.js";

/**
 * Named `remove` because `delete` is a reserved word; a VM that is already gone is no error. When `customTimeouts.delete` is over the VM
 * is killed: a delete that failed would leave it for a user who wanted it gone by then.
 */
export async function remove(id: string, olds: Partial<State>): Promise<void> {
  // The engine shows a plugin's output under the stack, hence the name in front.
  if (isAdopted(id)) {
    console.log(`${id}: goes on as the VM of the resource that replaces it`);
    return;
  }
  const report = await destroyVm(id, { withinMs: limitOf("delete", olds) });
  const limit = olds.customTimeouts?.delete;
  const why = limit && report.rung === "sigkill" ? `; customTimeouts.delete allows ${limit}` : "";
  console.log(`${id}: ${describeShutdown(report)}${why}`);
}
