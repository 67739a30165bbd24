/** What memory this host has, and what a VM takes of it. */
import { freemem, totalmem } from "node:os";
import { MicroVmError } from "../errors.js";

const mib = 1 << 20;

/** What QEMU takes beside its guest's memory, in MiB: its code, devices, and the code that it translates under emulation. */
const qemuMb = 64;

/** At most, in MiB: a guest gets its pages when it touches them first. */
export const memoryTakenMb = (memoryMb: number): number => memoryMb + qemuMb;

/** In MiB: what can be had without swapping, page cache included (MemAvailable). */
export const freeMemoryMb = (): number => Math.floor(freemem() / mib);

const totalMemoryMb = (): number => Math.floor(totalmem() / mib);

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
