/**
 * The plugin's place in the engine's world: it is told to go by SIGINT (after each phase, and on the second Ctrl-C), and it
 * may outlive an engine that was killed. Either way no half-made VM may stay behind.
 */
import { readFileSync } from "node:fs";
import { MicroVmError } from "../errors.js";

const stop = new AbortController();
const running = new Set<Promise<unknown>>();
let listening = false;

/** The engine starts the plugin through a shell script, so it is our parent or our parent's parent. */
const ancestors = lineage();

/**
 * Runs an operation that makes a VM. Its signal fires when the engine tells the plugin to go; the process then ends
 * once every such operation has cleaned up (the engine kills it after 5 s). Operations that are not of this kind need no
 * such care: what they do can be done again.
 */
export async function making<T>(operation: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (!listening) {
    listening = true;
    for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => void leave());
  }
  // Nobody signals the plugin of an engine that was killed.
  const watch = setInterval(() => {
    if (!engineIsAlive()) stop.abort(new MicroVmError("Cancelled", "the engine died"));
  }, 500);
  const work = operation(stop.signal);
  running.add(work);
  try {
    return await work;
  } finally {
    running.delete(work);
    clearInterval(watch);
  }
}

async function leave(): Promise<void> {
  stop.abort(new MicroVmError("Cancelled", "the engine ended the operation"));
  await Promise.allSettled(running);
  process.exit(0);
}

/** False when the engine that asked for the work died: its answer would reach nobody. */
export function engineIsAlive(): boolean {
  return lineage().join() === ancestors.join();
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
