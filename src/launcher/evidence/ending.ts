/** How a VM ended, from what was written beside it: QEMU's exit status by the shell above it, stderr, console. */
import { constants } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { classify, type Ending } from "./classify.js";
import { tailLines } from "./console.js";
import type { GenerationFiles } from "../record/vm-folder.js";

/** For how long the exit status is waited for, in milliseconds: where its keeper is seen at work, and where it is not. */
const patience = { atWork: 10_000, unseen: 500 };

/** Reads the evidence. The keeper writes the exit status a moment after the process is gone, on a busy host a long one. */
export async function readEnding(files: GenerationFiles): Promise<Ending> {
  const code = await exitStatus(files);
  const [stderr, console] = await Promise.all([tailLines(files.stderr), tailLines(files.console, 200)]);
  return { ...classify({ code, stderr, console }), ...(code !== undefined && { code }) };
}

async function exitStatus({ exitStatus: path, consolePipe }: GenerationFiles): Promise<number | undefined> {
  const start = performance.now();
  for (;;) {
    // In this order: it may have come to its end between the two.
    const limit = patience[(await hasReader(consolePipe)) ? "atWork" : "unseen"];
    const text = await readFile(path, "utf8").catch(() => "");
    if (text.endsWith("\n")) return Number.parseInt(text, 10);
    if (performance.now() - start >= limit) return undefined;
    await sleep(10);
  }
}

/** Whether somebody holds the pipe's reading end: the keeper does from QEMU's end to its own, and before that its reader. */
async function hasReader(pipe: string): Promise<boolean> {
  try {
    await (await open(pipe, constants.O_WRONLY | constants.O_NONBLOCK)).close();
    return true;
  } catch {
    return false;
  }
}

/** Console and stderr for an error's evidence, without the trace, which is for `classify`. */
export async function evidenceOf(files: GenerationFiles): Promise<string> {
  const [stderr, console] = await Promise.all([tailLines(files.stderr), tailLines(files.console)]);
  const said = stderr.replace(/^(?:qemu_system_shutdown_request|runstate_set) .*\n?/gm, "").trimEnd();
  const part = (title: string, text: string) => (text === "" ? `${title}: nothing` : `${title}:\n${text}`);
  return `${part("QEMU's stderr", said)}\n${part("the console's last lines", console)}`;
}
