import { readFileSync } from "node:fs";

/** The process above one: of a QEMU, the shell that keeps it. */
export function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The command name before the state may hold anything, brackets too (proc(5)).
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}
