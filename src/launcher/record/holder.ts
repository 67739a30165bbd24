/**
 * How processes say in a file's name or target that they hold something, so that others see when the holder died. By pid, start
 * time and boot, never by a time of the file's own: clocks jump.
 */
import { randomUUID } from "node:crypto";
import { threadId } from "node:worker_threads";
import { isAlive, processWith, type ProcessIdentity } from "../host/process.js";

const registry = Symbol.for("pulumi-microvm.held");

/** What texts say that this thread holds, also by other copies of this package. One of ours that is not in it could not be taken back. */
const held = ((globalThis as { [registry]?: Set<string> })[registry] ??= new Set());

/** A text that nobody wrote before: this thread holds something, until it drops that or its process dies. */
export function hold(): string {
  const { pid, startTicks, bootId } = processWith(process.pid)!;
  const text = `${pid} ${startTicks} ${bootId} ${threadId} ${randomUUID()}`;
  held.add(text);
  return text;
}

/** What the text says is true no more, even where it cannot be removed (a full disk, its folder gone). */
export function drop(text: string): void {
  held.delete(text);
}

/** The living process that holds what has this text. */
export function holderOf(text: string): ProcessIdentity | undefined {
  const [, pid, startTicks, bootId, thread] = /^(\d+) (\d+) (\S+) (\d+) \S+$/.exec(text) ?? [];
  if (pid === undefined) return undefined;
  const holder = { pid: Number(pid), startTicks: startTicks!, bootId: bootId! };
  const isOurs = holder.pid === process.pid && Number(thread) === threadId;
  return (isOurs ? held.has(text) : isAlive(holder)) ? holder : undefined;
}
