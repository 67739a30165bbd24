/**
 * How processes say in a file's name or target that they hold something, so that others see when the holder died. By pid, start
 * time and boot, never by a time of the file's own: clocks jump.
 */
import { isAlive, processWith, type ProcessIdentity } from "./process.js";

/** What texts say that this process holds. One of ours that is not in it could not be taken back. */
const held = new Set<string>();
let taken = 0;

/** A text that nobody wrote before: this process holds something, until it drops that or dies. */
export function hold(): string {
  const { pid, startTicks, bootId } = processWith(process.pid)!;
  const text = `${pid} ${startTicks} ${bootId} ${++taken}`;
  held.add(text);
  return text;
}

/** What the text says is true no more, even where it cannot be removed (a full disk, its folder gone). */
export function drop(text: string): void {
  held.delete(text);
}

/** The living process that holds what has this text. */
export function holderOf(text: string): ProcessIdentity | undefined {
  const [, pid, startTicks, bootId] = /^(\d+) (\d+) (\S+) \d+$/.exec(text) ?? [];
  if (pid === undefined) return undefined;
  const holder = { pid: Number(pid), startTicks: startTicks!, bootId: bootId! };
  if (holder.pid === process.pid && !held.has(text)) return undefined;
  return isAlive(holder) ? holder : undefined;
}
