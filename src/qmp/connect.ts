/** Opens a connection to a monitor. */
import { createConnection } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { MicroVmError, systemErrorCode } from "../errors.js";
import { QmpConnection, type WaitOptions } from "./connection.js";

/** The longest unix socket path, in bytes; Linux has room for 108, macOS for 104, each with a closing NUL. */
export const MAX_SOCKET_PATH_BYTES = process.platform === "darwin" ? 103 : 107;

const CROWDED_PAUSE_MS = 20;

/**
 * Connects to the monitor that listens at `socketPath` and negotiates. A monitor serves one client at a time,
 * so keep the connection short: `await using monitor = await connectQmp(path)`.
 *
 * `timeoutMs` bounds connect and greeting together, and is the default of each later wait (default 5000).
 * Throws `QmpIo` when nobody listens, another client holds the monitor or time is up, `Qmp` when the peer
 * does not speak QMP, `Cancelled` by the signal, which counts for the connecting only.
 */
export async function connectQmp(
  socketPath: string,
  { timeoutMs = 5000, signal }: WaitOptions = {},
): Promise<QmpConnection> {
  const bytes = Buffer.byteLength(socketPath);
  // Node cuts a longer path silently and connects to the cut one.
  if (bytes === 0 || bytes > MAX_SOCKET_PATH_BYTES) {
    throw new MicroVmError("QmpIo", `a socket's path has 1 to ${MAX_SOCKET_PATH_BYTES} bytes, not ${bytes}`, {
      evidence: socketPath,
    });
  }
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const connection = new QmpConnection(createConnection({ path: socketPath }), timeoutMs);
    try {
      await connection.negotiate({ timeoutMs: deadline - performance.now(), signal });
      return connection;
    } catch (error) {
      await connection.close();
      // Behind the one client it serves QEMU lets two wait, and the kernel refuses the next.
      const crowded = systemErrorCode((error as Error).cause) === "EAGAIN";
      if (!crowded || performance.now() + CROWDED_PAUSE_MS > deadline) throw error;
    }
    await sleep(CROWDED_PAUSE_MS);
  }
}
