/** What memory this host has, and what a VM takes of it. */
import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { MicroVmError } from "../../errors.js";

const mib = 1 << 20;

/** Of each version of control groups: where they lie, which line of /proc/self/cgroup tells ours, and what it is called that they hold. */
const groupKinds = [
  {
    root: "/sys/fs/cgroup",
    own: /^0::(.*)$/m,
    limit: "memory.max",
    used: "memory.current",
    cache: /^inactive_file (\d+)$/m,
  },
  {
    root: "/sys/fs/cgroup/memory",
    own: /^\d+:memory:(.*)$/m,
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cache: /^total_inactive_file (\d+)$/m,
  },
];

/**
 * What the host has and, in bytes, what of that is free, or what the control group of this process leaves of it (a container's, a service's),
 * or any above that: a VM counts there, and would be killed for more.
 */
export function memoryAtHand(said = fileText): { total: number; free: number } {
  let [total, free] = [totalmem(), freemem()];
  const ours = said("/proc/self/cgroup");
  for (const { root, own, limit, used, cache } of groupKinds) {
    const path = own.exec(ours)?.[1];
    if (path === undefined) continue;
    for (let group = join(root, path); group.startsWith(root); group = dirname(group)) {
      const most = Number.parseInt(said(join(group, limit)), 10);
      const taken = Number.parseInt(said(join(group, used)), 10);
      if (Number.isNaN(most) || Number.isNaN(taken)) continue;
      total = Math.min(total, most);
      const reclaimable = Number(cache.exec(said(join(group, "memory.stat")))?.[1] ?? 0);
      free = Math.min(free, Math.max(0, most - taken + reclaimable));
    }
  }
  return { total, free };
}

function fileText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** What QEMU takes beside its guest's memory, in MiB: its code, devices, and the code that it translates under emulation. */
const qemuMb = 64;

/** At most, in MiB: a guest gets its pages when it touches them first. */
export const memoryTakenMb = (memoryMb: number): number => memoryMb + qemuMb;

/** In MiB: what can be had without swapping, page cache included (MemAvailable). */
export const freeMemoryMb = (): number => Math.floor(memoryAtHand().free / mib);

const totalMemoryMb = (): number => Math.floor(memoryAtHand().total / mib);

/** Throws HostMemoryTooSmall for a VM that this host could not hold were it alone there. */
export function assertHostCanHold(memoryMb: number): void {
  if (memoryTakenMb(memoryMb) <= totalMemoryMb()) return;
  const hint = `Set memoryMb to ${totalMemoryMb() - qemuMb} or less.`;
  throw tooSmall(memoryMb, `this host has ${totalMemoryMb()} MiB in all`, hint);
}

/** For one that did not get its memory in time. */
export const memoryNotFree = (memoryMb: number, freeMb: number): MicroVmError =>
  tooSmall(
    memoryMb,
    `${freeMb} MiB are free`,
    "Stop other VMs (`microvm ls`) or programs, or lower memoryMb.",
  );

const tooSmall = (memoryMb: number, what: string, hint: string): MicroVmError =>
  new MicroVmError(
    "HostMemoryTooSmall",
    `a VM with memoryMb ${memoryMb} takes up to ${memoryTakenMb(memoryMb)} MiB with its QEMU, ${what}`,
    { hint, property: "memoryMb" },
  );
