/** Tells a running guest what to do, on a port of its own (appliance/contract.ts). */
import { createConnection } from "node:net";
import { once } from "node:events";
import { MicroVmError } from "../../errors.js";
import type { Generation } from "../record/record.js";

export interface TellOptions {
  /** How long the guest may take to read the line. @default 5000 */
  timeoutMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Returns once the guest's driver has taken the line; what it makes of it is for it to say. Throws Io where the VM has no such
 * port or QEMU does not listen, Timeout where the guest does not read it, Cancelled.
 */
export async function tellGuest(
  { guestSocket }: Pick<Generation, "guestSocket">,
  line: string,
  { timeoutMs = 5000, signal }: TellOptions = {},
): Promise<void> {
  if (guestSocket === undefined)
    throw new MicroVmError("Io", "the VM was started by a version that gave its guest no control port", {
      hint: "An update that boots anew gives it one.",
    });
  const limit = AbortSignal.timeout(timeoutMs);
  const connection = createConnection(guestSocket);
  try {
    // QEMU ends the connection at our end of it, which it reads only after the guest has room for all that came before.
    connection.resume().end(`${line}\n`);
    await once(connection, "close", { signal: AbortSignal.any([limit, ...(signal ? [signal] : [])]) });
  } catch (cause) {
    throw failure(cause, { line, timeoutMs, signal, limit });
  } finally {
    connection.destroy();
  }
}

function failure(
  cause: unknown,
  {
    line,
    timeoutMs,
    signal,
    limit,
  }: { line: string; timeoutMs: number; signal: AbortSignal | undefined; limit: AbortSignal },
): MicroVmError {
  // By its first word: what follows may be secret, as a clone's seed is.
  const what = JSON.stringify(line.split(" ", 1)[0]);
  if (signal?.aborted)
    return new MicroVmError("Cancelled", `telling the guest ${what} was cancelled`, { cause });
  if (limit.aborted)
    return new MicroVmError("Timeout", `the guest did not read ${what} within ${timeoutMs / 1000} s`, {
      hint: "It hangs, or its init does not know the control port.",
      cause,
    });
  return new MicroVmError("Io", `the guest cannot be told ${what}: ${(cause as Error).message}`, { cause });
}
