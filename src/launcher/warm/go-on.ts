/** Has a VM go on from a saved state. */
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { createConnection } from "node:net";
import { pipeline } from "node:stream/promises";
import { awaitState, type QmpConnection } from "../../qmp/index.js";
import type { Attempt } from "../start/attempt.js";
import { introduce } from "./introduce.js";
import type { StateFiles } from "./saved-states.js";
import { stateSocket } from "./state-socket.js";

/** The launch has a deadline of its own. */
const timeoutMs = 3_600_000;

/** Returns when the guest runs and was told that it is this VM. Throws Qmp, QmpIo or Io where QEMU does not take the state. */
export async function goOn(
  attempt: Attempt,
  { state, monitor, signal }: Pick<StateFiles, "state"> & { monitor: QmpConnection; signal: AbortSignal },
): Promise<void> {
  const path = stateSocket(attempt.generation);
  const runs = monitor.once("RESUME", { timeoutMs, signal });
  // Awaited below, if it comes to that.
  runs.catch(() => undefined);
  await awaitState(monitor, path, { timeoutMs, signal });
  try {
    // QEMU hangs up once it has what it wants, or as it dies; whether it runs tells which.
    const connection = createConnection(path).on("error", () => undefined);
    await once(connection, "connect", { signal });
    await pipeline(createReadStream(state), connection, { signal }).catch(() => undefined);
    await runs;
  } finally {
    await rm(path, { force: true });
  }
  await introduce(attempt, attempt.generation.nonce, { timeoutMs, signal });
}
