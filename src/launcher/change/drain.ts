/** Lets what is in flight on a VM finish to which no port leads any more. */
import { setTimeout as sleep } from "node:timers/promises";
import { DRAIN_LINE } from "../../appliance/contract.js";
import { guestConnections, type GuestConnection } from "../../qmp/index.js";
import type { Progress } from "../progress.js";
import { tellGuest } from "./guest-control.js";
import { connectMonitor } from "../evidence/monitor.js";
import type { StartedVm } from "../record/record.js";
import { withDefaults } from "../spec.js";

/** Between two looks, in milliseconds. */
const pauseMs = 20;

/** How long a guest may take to accept a connection, in milliseconds. */
const acceptMs = 1000;

/**
 * Returns once nothing is in flight, or when the time is up or the update called off: what still is then is lost, and said. The guest is
 * asked to end its connections; one that does not know how is served by what QEMU's user network knows of every guest.
 */
export async function drain(
  { spec, generation }: StartedVm,
  { onProgress, signal }: Progress,
): Promise<void> {
  const timeoutMs = (withDefaults(spec).drainTimeoutSeconds ?? 0) * 1000;
  const start = performance.now();
  const done = new AbortController();
  const told = tellGuest(generation, DRAIN_LINE, { timeoutMs, signal: done.signal }).catch(() => {});
  try {
    await using monitor = await connectMonitor(generation, {});
    for (;;) {
      const waitedMs = performance.now() - start;
      const open = (await guestConnections(monitor)).filter((one) => isOpen(one, waitedMs)).length;
      if (open === 0) return;
      if (signal?.aborted || waitedMs >= timeoutMs) {
        onProgress?.(
          `warning: ${open} connections to the former VM were still open, and end with it`,
          "news",
        );
        return;
      }
      await sleep(pauseMs);
    }
  } catch {
    // It is down, or its monitor is in other hands: nothing can be seen that could be waited for.
  } finally {
    done.abort();
    await told;
  }
}

function isOpen({ state, undelivered }: GuestConnection, waitedMs: number): boolean {
  if (undelivered > 0) return true;
  // Those that nobody listened for while it booted linger for a minute; their clients have long gone.
  if (state === "SYN_SENT") return waitedMs < acceptMs;
  return state !== "TIME_WAIT" && state !== "CLOSED";
}
