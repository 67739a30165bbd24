/** Saves a VM's state into a stream, and has another go on from it. The guest's memory stays outside, in a file that both name. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import { reply } from "./commands.js";
import type { QmpConnection, WaitOptions } from "./connection.js";

/** Between two looks at how far it is, in milliseconds. */
const PAUSE_MS = 5;

const progress = z.looseObject({ status: z.string().optional(), "error-desc": z.string().optional() });

/** Whatever memory is a file that is shared is not part of the stream. */
async function leaveSharedMemory(conn: QmpConnection, options: WaitOptions): Promise<void> {
  const capabilities = [{ capability: "x-ignore-shared", state: true }];
  await conn.execute("migrate-set-capabilities", { capabilities }, options);
}

/**
 * Has QEMU write the state of the running VM to whoever listens on the socket. The VM stands still after that, and what goes on from the
 * state runs at once. Throws `Qmp` where QEMU refuses or fails.
 */
export async function saveState(
  conn: QmpConnection,
  socket: string,
  options: WaitOptions & { timeoutMs: number },
): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  await leaveSharedMemory(conn, options);
  await conn.execute("migrate", { uri: `unix:${socket}` }, options);
  for (;;) {
    const value = await conn.execute("query-migrate", {}, options);
    const { status = "none", "error-desc": why = status } = reply("query-migrate", progress, value);
    if (status === "completed") return;
    const failed = ["failed", "cancelled"].includes(status);
    if (failed || performance.now() >= deadline) throw new MicroVmError("Qmp", `QEMU saves no state: ${why}`);
    await sleep(PAUSE_MS);
  }
}

/** Has a QEMU that was started for it (`-incoming defer`) listen on the socket for the state from which it is to go on. */
export async function awaitState(conn: QmpConnection, socket: string, options?: WaitOptions): Promise<void> {
  await leaveSharedMemory(conn, options ?? {});
  await conn.execute("migrate-incoming", { uri: `unix:${socket}` }, options);
}
