/** The appliance for a launch: the cache's, or one that is built now, which is said. */
import { ensureAppliance, nowAndThen, type CurrentAppliance } from "../../appliance/index.js";
import type { Progress } from "../progress.js";

/** Throws ApplianceBuild with a way on, or Cancelled. */
export async function applianceFor({
  onProgress,
  signal,
}: Progress): Promise<Pick<CurrentAppliance, "path" | "from">> {
  const tell = nowAndThen((text) => onProgress?.(`building the appliance, once: ${text}`, "news"));
  return await ensureAppliance({ signal, onProgress: tell });
}
