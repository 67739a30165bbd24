/** How a VM ended, from what was written beside it: QEMU's exit status by the shell above it, stderr, console. */
import { readFile } from "node:fs/promises";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { tailLines } from "./console.js";
import type { GenerationFiles } from "./record.js";

export interface Ending {
  /** clean: the guest powered off; panic: its kernel gave up; killed: by a signal or QMP; crashed: QEMU itself failed. */
  how: "clean" | "panic" | "killed" | "crashed" | "hostReboot" | "unknown";
  /** QEMU's exit status; above 128 it died by signal `code - 128`. Absent when nobody was there to write it. */
  code?: number;
  /** One clause for a person. */
  detail: string;
}

/** Reads the evidence. The shell writes the status a moment after the process is gone, hence a short patience. */
export async function readEnding(files: GenerationFiles, patienceMs = 500): Promise<Ending> {
  const code = await exitStatus(files.exitStatus, patienceMs);
  const [stderr, console] = await Promise.all([tailLines(files.stderr), tailLines(files.console, 60)]);
  return { ...classify(code, stderr, console), ...(code !== undefined && { code }) };
}

async function exitStatus(path: string, patienceMs: number): Promise<number | undefined> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const text = await readFile(path, "utf8").catch(() => "");
    if (text.endsWith("\n")) return Number.parseInt(text, 10);
    if (performance.now() >= deadline) return undefined;
    await sleep(10);
  }
}

/** Pure. A panic exits 0 like a power-off, because `panic=-1` reboots and QEMU's -no-reboot ends there. */
export function classify(code: number | undefined, stderr: string, console: string): Omit<Ending, "code"> {
  const panic = /Kernel panic - not syncing: .*/.exec(console)?.[0];
  const sentBy = /terminating on signal (\d+)(?: from pid \d+)?/.exec(stderr)?.[0];
  if (code === undefined) return { how: "unknown", detail: "nothing tells how it ended" };
  if (panic !== undefined) return { how: "panic", detail: `the guest's kernel panicked (${panic})` };
  if (code > 128) {
    const name = signalName(code - 128);
    return name === "SIGKILL" || name === "SIGTERM"
      ? { how: "killed", detail: `QEMU was killed by ${name}` }
      : { how: "crashed", detail: `QEMU crashed with ${name}` };
  }
  if (sentBy !== undefined) return { how: "killed", detail: `QEMU was ended from outside (${sentBy})` };
  if (code === 0) return { how: "clean", detail: "the guest powered off" };
  return { how: "crashed", detail: `QEMU exited with status ${code}` };
}

function signalName(number: number): string {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0] ?? `signal ${number}`;
}

/** Console and stderr for an error's evidence, each under its path. */
export async function evidenceOf(files: GenerationFiles): Promise<string> {
  const [stderr, console] = await Promise.all([tailLines(files.stderr), tailLines(files.console)]);
  const part = (title: string, text: string) => (text === "" ? `${title}: nothing` : `${title}:\n${text}`);
  return `${part("QEMU's stderr", stderr)}\n${part("the console's last lines", console)}`;
}
