/**
 * The plugin's place in the engine's world: it is told to go by SIGINT (after each phase, and on the second Ctrl-C), and it
 * may outlive an engine that was killed. Either way it ends, and no half-made VM stays behind.
 */
import { readFileSync } from "node:fs";
import { MicroVmError } from "../errors.js";

const leave = new AbortController();
const running = new Set<Promise<unknown>>();
let attentive = false;

/** Fires when the plugin has to go. What makes a VM heeds it and cleans up; everything else is brought to its end. */
export const leaving: AbortSignal = leave.signal;

/** The engine starts the plugin through a shell script, so it is our parent or our parent's parent. */
const ancestors = lineage();

/** Runs an operation that the plugin does not leave half-way, as long as the engine lets it: 5 s later it kills. */
export async function attended<T>(operation: () => Promise<T>): Promise<T> {
  attend();
  const work = operation();
  running.add(work);
  try {
    return await work;
  } finally {
    running.delete(work);
  }
}

function attend(): void {
  if (attentive) return;
  attentive = true;
  const told = new MicroVmError("Cancelled", "the engine ended the operation");
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => void end(told));
  // Nobody signals the plugin of an engine that was killed.
  const watch = (): void => {
    try {
      assertEngineAlive();
    } catch (error) {
      void end(error);
    }
  };
  setInterval(watch, 500).unref();
}

async function end(reason: unknown): Promise<void> {
  leave.abort(reason);
  await Promise.allSettled(running);
  process.exit(0);
}

/** Throws when the engine that asked for the work died: its answer would reach nobody. */
export function assertEngineAlive(): void {
  if (lineage().join() !== ancestors.join()) throw new MicroVmError("Cancelled", "the engine died");
}

function lineage(): number[] {
  try {
    // proc(5): state and parent follow the last `)`, because the command name may hold anything.
    const stat = readFileSync(`/proc/${process.ppid}/stat`, "utf8");
    return [process.ppid, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])];
  } catch {
    return [process.ppid];
  }
}
