/**
 * As many boots at once as the host has means for, first come first served, whichever processes ask: a guest that boots burns a
 * processor, so many of them at once would all miss their deadlines.
 *
 * A folder holds a symbolic link for each boot, under way or waiting. Its name sorts by arrival and tells the memory; its target
 * is the holder (holder.ts), so that the place of one that died is free. Whoever has few enough before it goes ahead. Nothing is
 * locked: one that makes its link late may go ahead beside others, one more than there should be.
 */
import { mkdir, readdir, readlink, rm, symlink } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MicroVmError } from "../../errors.js";
import { bootsDir } from "../../paths.js";
import type { Progress } from "../progress.js";
import { drop, hold, holderOf } from "../record/holder.js";
import { assertHostCanHold, freeMemoryMb, memoryNotFree, memoryTakenMb } from "../host/host-memory.js";
import { isStopped, type ProcessIdentity } from "../host/process.js";

/** Two a processor: what one waits for (its disk, its monitor, its launcher) the other uses. */
const bootsAtOnce = (): number => 2 * availableParallelism();

export interface QueueOptions extends Progress {
  /** The guest's memory, in MiB. */
  memoryMb: number;
  /** How long nothing may move before it, in milliseconds. Default 10 minutes for other boots, one for free memory. */
  patience?: { bootsMs: number; memoryMs: number };
}

/**
 * Runs the work when processor and memory are there for it, and tells it for how many milliseconds that was awaited. Throws
 * HostMemoryTooSmall where this host has too little memory, Timeout when the boots before it do not end, and the signal's reason.
 */
export async function inTurn<T>(options: QueueOptions, work: (waitedMs: number) => Promise<T>): Promise<T> {
  assertHostCanHold(options.memoryMb);
  const place = await enter(options.memoryMb);
  try {
    return await work(await awaitTurn(place, options));
  } finally {
    await leave(place);
  }
}

interface Place {
  dir: string;
  name: string;
  target: string;
}

async function enter(memoryMb: number): Promise<Place> {
  const dir = bootsDir();
  const target = hold();
  // The one clock that all processes of this host share and that nobody can set.
  const arrival = process.hrtime.bigint().toString().padStart(20, "0");
  const name = `${arrival}.${memoryMb}.${target.replaceAll(" ", ".")}`;
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await symlink(target, join(dir, name));
  } catch {
    // A disk that is full or cannot be written: the record, which has to be, says so.
  }
  return { dir, name, target };
}

async function leave({ dir, name, target }: Place): Promise<void> {
  await rm(join(dir, name), { force: true }).catch(() => {});
  drop(target);
}

/** Returns after how many milliseconds, 0 where there was nothing to wait for. */
async function awaitTurn(place: Place, options: QueueOptions): Promise<number> {
  const { memoryMb, signal, onProgress, patience = { bootsMs: 600_000, memoryMs: 60_000 } } = options;
  const since = performance.now();
  let said: "boots" | "memory" | undefined;
  let last = { ahead: -1, at: since };
  for (;;) {
    signal?.throwIfAborted();
    const { first, ahead } = await boots(place);
    const freeMb = freeMemoryMb() - first.reduce((sum, boot) => sum + memoryTakenMb(boot.memoryMb), 0);
    const hasTurn = first.length < bootsAtOnce();
    const now = performance.now();
    if (hasTurn && freeMb >= memoryTakenMb(memoryMb)) return said ? now - since : 0;

    if (ahead !== last.ahead) last = { ahead, at: now };
    const waits = now - last.at;
    if (ahead === 0 && waits >= patience.memoryMs) throw memoryNotFree(memoryMb, freeMb);
    if (ahead > 0 && waits >= patience.bootsMs) throw stuck(first, waits);
    const scarce = hasTurn ? "memory" : "boots";
    if (said !== scarce) {
      const what = hasTurn ? `${memoryTakenMb(memoryMb)} MiB of free memory` : `${ahead} other boots`;
      onProgress?.(`waiting for ${what}`, "news");
    }
    said = scarce;
    // Those far behind look seldom, so that many of them cost nothing.
    await sleep(50 * Math.min(20, 1 + ahead - first.length), undefined, { signal });
  }
}

interface Boot extends ProcessIdentity {
  memoryMb: number;
}

/** Those before the place: the first of them, who are under way or next to be, and how many there are. */
async function boots({ dir, name: own }: Place): Promise<{ first: Boot[]; ahead: number }> {
  const names = (await readdir(dir).catch(() => [])).filter((name) => name < own).sort();
  const first: Boot[] = [];
  let ahead = names.length;
  for (const name of names) {
    if (first.length === bootsAtOnce()) break;
    const holder = holderOf(await readlink(join(dir, name)).catch(() => ""));
    // One that is stopped (SIGSTOP) ends nothing as long as it is.
    if (holder && !isStopped(holder)) first.push({ ...holder, memoryMb: Number(name.split(".")[1]) });
    else ahead--;
    if (!holder) await rm(join(dir, name), { force: true }).catch(() => {});
  }
  return { first, ahead };
}

function stuck(first: readonly Boot[], waitedMs: number): MicroVmError {
  const who = [...new Set(first.map(({ pid }) => pid))].join(", ");
  const seconds = Math.round(waitedMs / 1000);
  return new MicroVmError("Timeout", `the boots before this one have not ended in ${seconds} s`, {
    evidence: `they are those of process ${who}`,
    hint: "`microvm ls` shows the VMs; `microvm kill ID` ends one that does not come up.",
  });
}
