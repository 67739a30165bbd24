/** The way to a VM's monitor: the launcher's own, so that a user who holds the published one is in nobody's way. */
import { systemErrorCode } from "../errors.js";
import { connectQmp, type QmpConnection, type WaitOptions } from "../qmp/index.js";
import type { Generation } from "./record.js";

/** Where nobody listens on the launcher's own socket, removed by hand, the published one still leads there. Throws as connectQmp. */
export async function connectMonitor(
  { controlSocket, qmpSocket }: Pick<Generation, "controlSocket" | "qmpSocket">,
  options: WaitOptions,
): Promise<QmpConnection> {
  try {
    return await connectQmp(controlSocket, options);
  } catch (error) {
    if (!["ENOENT", "ECONNREFUSED"].includes(systemErrorCode((error as Error).cause) ?? "")) throw error;
    return await connectQmp(qmpSocket, options);
  }
}
