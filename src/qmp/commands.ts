/**
 * The commands a launcher needs, typed. Each throws as `QmpConnection.execute` does, and `Qmp` for an odd
 * reply.
 */
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import type { QmpConnection, WaitOptions } from "./connection.js";
import { parseHostForwards, type HostForward } from "./usernet.js";

function reply<T>(command: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new MicroVmError("Qmp", `QMP ${command}: unexpected reply ${JSON.stringify(value)?.slice(0, 200)}`, {
    cause: result.error,
  });
}

const status = z.object({ status: z.string(), running: z.boolean() });

/** QEMU's run state: `running`, `prelaunch`, `paused`, `inmigrate`, `postmigrate`, `shutdown`, ... */
export type QmpStatus = z.infer<typeof status>;

export async function queryStatus(conn: QmpConnection, options?: WaitOptions): Promise<QmpStatus> {
  return reply("query-status", status, await conn.execute("query-status", {}, options));
}

/** Every TCP port that QEMU's user network forwards into the guest; none without such a network. */
export async function hostForwards(conn: QmpConnection, options?: WaitOptions): Promise<HostForward[]> {
  const command = { "command-line": "info usernet" };
  const text = reply(
    "info usernet",
    z.string(),
    await conn.execute("human-monitor-command", command, options),
  );
  // The human monitor reports its errors as text in a successful reply.
  if (text.startsWith("unknown command")) throw new MicroVmError("Qmp", `QMP info usernet: ${text.trim()}`);
  return parseHostForwards(text);
}

/** Presses the guest's power button. QEMU accepts it always; the guest obeys if it listens for it. */
export async function systemPowerdown(conn: QmpConnection, options?: WaitOptions): Promise<void> {
  await conn.execute("system_powerdown", {}, options);
}

/** Ends QEMU at once. Its going counts as success, since it may be gone before its reply is read. */
export async function quit(conn: QmpConnection, options?: WaitOptions): Promise<void> {
  const wasOpen = !conn.ended;
  const shutdown = conn.once("SHUTDOWN", options);
  try {
    await Promise.race([conn.execute("quit", {}, options), shutdown]);
  } catch (error) {
    if (!(wasOpen && conn.ended)) throw error;
  }
}
