/** Runs a program for what it prints. */
import { qemuEnvironment } from "./environment.js";

/** Far beyond what any QEMU prints about itself. */
const longestOutput = 1_000_000;

/**
 * The program's standard output. One that takes longer, or prints without end, is killed with all that it started. Throws
 * execa's error where it fails.
 */
export async function outputOf(binary: string, args: string[], timeoutMs: number): Promise<string> {
  // Seldom needed, since what a binary prints is remembered.
  const { execa } = await import("execa");
  const running = execa(binary, args, {
    stdin: "ignore",
    maxBuffer: longestOutput,
    detached: true,
    ...qemuEnvironment(),
  });
  let late = false;
  const alarm = setTimeout(() => {
    late = true;
    if (running.pid !== undefined) killGroup(running.pid);
  }, timeoutMs);
  try {
    return (await running).stdout;
  } catch (error) {
    if (!late) throw error;
    throw new Error(`no answer to ${args.join(" ")} within ${timeoutMs / 1000} s`, { cause: error });
  } finally {
    clearTimeout(alarm);
  }
}

/** The whole group, because a child that lives on would hold the output open. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}
