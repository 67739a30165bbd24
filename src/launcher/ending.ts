/** How a VM ended, from what was written beside it: QEMU's exit status by the shell above it, stderr, console. */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { classify, type Ending } from "./classify.js";
import { tailLines } from "./console.js";
import type { GenerationFiles } from "./vm-folder.js";

/** Reads the evidence. The shell writes the status a moment after the process is gone, hence a short patience. */
export async function readEnding(files: GenerationFiles, patienceMs = 500): Promise<Ending> {
  const code = await exitStatus(files.exitStatus, patienceMs);
  const [stderr, console] = await Promise.all([tailLines(files.stderr), tailLines(files.console, 200)]);
  return { ...classify({ code, stderr, console }), ...(code !== undefined && { code }) };
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

/** Console and stderr for an error's evidence, without the trace, which is for `classify`. */
export async function evidenceOf(files: GenerationFiles): Promise<string> {
  const [stderr, console] = await Promise.all([tailLines(files.stderr), tailLines(files.console)]);
  const said = stderr.replace(/^(?:qemu_system_shutdown_request|runstate_set) .*\n?/gm, "").trimEnd();
  const part = (title: string, text: string) => (text === "" ? `${title}: nothing` : `${title}:\n${text}`);
  return `${part("QEMU's stderr", said)}\n${part("the console's last lines", console)}`;
}
