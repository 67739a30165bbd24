/**
 * The commands a launcher needs, typed. Each throws as `QmpConnection.execute` does, and `Qmp` for an odd
 * reply.
 */
import { inspect } from "node:util";
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import type { QmpConnection, WaitOptions } from "./connection.js";

export function reply<T>(command: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // Unlike JSON.stringify, inspect stops at a depth: a reply may be nested deeper than the stack.
  throw new MicroVmError("Qmp", `QMP ${command}: unexpected reply`, {
    evidence: inspect(value).slice(0, 200),
    cause: result.error,
  });
}

const status = z.object({ status: z.string(), running: z.boolean() });

/** QEMU's run state: `running`, `prelaunch`, `paused`, `inmigrate`, `postmigrate`, `shutdown`, ... */
export type QmpStatus = z.infer<typeof status>;

export async function queryStatus(conn: QmpConnection, options?: WaitOptions): Promise<QmpStatus> {
  return reply("query-status", status, await conn.execute("query-status", {}, options));
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

const blockStats = z.array(z.looseObject({ stats: z.looseObject({ rd_operations: z.int() }) }));

/** How many read requests the guest has made of its disks so far. */
export async function blockReads(conn: QmpConnection, options?: WaitOptions): Promise<number> {
  const value = await conn.execute("query-blockstats", {}, options);
  const devices = reply("query-blockstats", blockStats, value);
  return devices.reduce((sum, { stats }) => sum + stats.rd_operations, 0);
}

/**
 * Runs a line of the human monitor and gives its text. An error of the human monitor is such a text too: only
 * who knows the command can tell it from a success.
 */
export async function humanMonitorCommand(
  conn: QmpConnection,
  line: string,
  options?: WaitOptions,
): Promise<string> {
  const command = { "command-line": line };
  return reply(line, z.string(), await conn.execute("human-monitor-command", command, options));
}
