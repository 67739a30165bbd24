/** Saves a VM that has just become ready, and that nobody but us has reached. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { MicroVmError } from "../../errors.js";
import { saveState } from "../../qmp/index.js";
import type { Attempt } from "../start/attempt.js";
import { connectMonitor } from "../evidence/monitor.js";
import { guestsWord } from "../start/ready.js";
import { generationFiles } from "../record/vm-folder.js";
import { introduce } from "./introduce.js";
import type { StateFiles } from "./saved-states.js";
import { stateSocket } from "./state-socket.js";

/** How long the guest may take to say that it is another now, and QEMU to write some tens of KB, in milliseconds. */
const patienceMs = 10_000;

/**
 * Its memory is in its file already, and stands still when this returns. Throws Io where the guest does not know how to be one of several,
 * Qmp or QmpIo where QEMU fails, Cancelled.
 */
export async function save(
  attempt: Attempt,
  { state }: StateFiles,
  signal: AbortSignal | undefined,
): Promise<void> {
  await assertIntroducible(attempt, signal);
  const path = stateSocket(attempt.generation);
  const server = createServer();
  try {
    await once(server.listen(path), "listening");
    const written = once(server, "connection").then(async ([stream]) => {
      await pipeline(stream as Socket, createWriteStream(state, { mode: 0o600 }));
    });
    await using monitor = await connectMonitor(attempt.generation, { signal });
    await Promise.all([saveState(monitor, path, { timeoutMs: patienceMs, signal }), written]);
  } finally {
    server.close();
    await rm(path, { force: true });
  }
}

/** A guest that does not know it now will not know it when it goes on. */
async function assertIntroducible(attempt: Attempt, signal: AbortSignal | undefined): Promise<void> {
  const { vmId, generation } = attempt;
  const nonce = randomBytes(16).toString("hex");
  const limit = AbortSignal.timeout(patienceMs);
  const either = AbortSignal.any([limit, ...(signal ? [signal] : [])]);
  try {
    await introduce(attempt, nonce, { signal: either });
    await guestsWord({ files: generationFiles(vmId, generation.number), nonce }, either);
  } catch (cause) {
    if (signal?.aborted) throw new MicroVmError("Cancelled", "the launch was cancelled", { cause });
    throw new MicroVmError("Io", "the guest does not know how to be one of several", { cause });
  }
}
