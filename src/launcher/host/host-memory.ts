/** What memory this host has, and what a VM takes of it. */
import { freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { MicroVmError } from "../../errors.js";
import { fileText } from "./file-text.js";

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
 * The limits of the control group of this process (a container's, a service's) and of any above that, in bytes: a VM counts there, and would be
 * killed for more. What of one is free is asked for apart, since the kernel adds that up over all processors.
 */
function* limits(said: typeof fileText): Generator<{ most: number; free: () => number }> {
  const ours = said("/proc/self/cgroup");
  for (const { root, own, limit, used, cache } of groupKinds) {
    const path = own.exec(ours)?.[1];
    if (path === undefined) continue;
    for (let group = join(root, path); group.startsWith(root); group = dirname(group)) {
      const numberIn = (file: string, line = /^(\d+)$/m) => Number(line.exec(said(join(group, file)))?.[1]);
      const most = numberIn(limit);
      // A use that cannot be read leaves nothing free rather than everything.
      if (most < totalmem())
        yield {
          most,
          free: () => Math.max(0, most - numberIn(used) + (numberIn("memory.stat", cache) || 0)) || 0,
        };
    }
  }
}

/** What the host has, or its control groups let us have of it, in bytes. */
export const totalMemory = (said = fileText): number =>
  Math.min(totalmem(), ...[...limits(said)].map(({ most }) => most));

/** The same of what is free: what can be had without swapping, page cache included (MemAvailable). */
export const freeMemory = (said = fileText): number =>
  Math.min(freemem(), ...[...limits(said)].map(({ free }) => free()));

/** What QEMU takes beside its guest's memory, in MiB: its code, devices, and the code that it translates under emulation. */
const qemuMb = 64;

/** At most, in MiB: a guest gets its pages when it touches them first. */
export const memoryTakenMb = (memoryMb: number): number => memoryMb + qemuMb;

export const freeMemoryMb = (): number => Math.floor(freeMemory() / mib);

const totalMemoryMb = (): number => Math.floor(totalMemory() / mib);

/** Throws HostMemoryTooSmall for a VM that this host could not hold were it alone there. */
export function assertHostCanHold(memoryMb: number): void {
  const totalMb = totalMemoryMb();
  if (memoryTakenMb(memoryMb) <= totalMb) return;
  const hint = `Set memoryMb to ${totalMb - qemuMb} or less.`;
  throw tooSmall(memoryMb, `this host has ${totalMb} MiB in all`, hint);
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
