/** For a process that was listed before. */
export function killUnlessGone(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself since it was listed.
  }
}
