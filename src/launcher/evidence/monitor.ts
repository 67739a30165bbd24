/** The way to a VM's monitor: the launcher's own, so that a user who holds the published one is in nobody's way. */
import { MicroVmError } from "../../errors.js";
import { connectQmp, type QmpConnection, type WaitOptions } from "../../qmp/index.js";
import type { Generation } from "../record/record.js";

/**
 * Where nobody listens on the launcher's own socket, removed by hand, or somebody holds it (a launcher that was stopped), the published one
 * still leads there. Both together get `timeoutMs`. Throws as connectQmp.
 */
export async function connectMonitor(
  { controlSocket, qmpSocket }: Pick<Generation, "controlSocket" | "qmpSocket">,
  { timeoutMs, ...others }: WaitOptions,
): Promise<QmpConnection> {
  const options = timeoutMs === undefined ? others : { ...others, timeoutMs: timeoutMs / 2 };
  try {
    return await connectQmp(controlSocket, options);
  } catch (error) {
    if (!(error instanceof MicroVmError) || error.code === "Cancelled") throw error;
    return await connectQmp(qmpSocket, options);
  }
}
