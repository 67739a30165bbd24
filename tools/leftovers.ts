/** What a VM has left on this host, seen from outside: the record of the launcher is not asked. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { vmsDir } from "../src/paths.js";
import { exists } from "./setup/cache.js";

/** Its processes, its folder and its monitor's socket, in words; empty when they are gone. */
export async function leftOfVm(vmId: string, qmpSocket: string): Promise<string[]> {
  const files = [join(vmsDir(), vmId), qmpSocket];
  const there = await Promise.all(files.map(exists));
  return [
    ...(await processesStaying(vmId)).map((pid) => `process ${pid}`),
    ...files.filter((_, i) => there[i]),
  ];
}

/** The processes with the text on their command line that do not go within 2 seconds. */
export async function processesStaying(text: string): Promise<number[]> {
  // The shell above a QEMU that just ended has still to write its exit status.
  for (let tries = 0; tries < 100; tries++) {
    if ((await processesNaming(text)).length === 0) return [];
    await sleep(20);
  }
  return await processesNaming(text);
}

/** The processes, but for this one, with the text on their command line. */
export const processesNaming = (text: string): Promise<number[]> => processesWith("cmdline", text);

/** The processes, but for this one, that were started with the text in their environment. */
export const processesStartedWith = (text: string): Promise<number[]> => processesWith("environ", text);

async function processesWith(file: "cmdline" | "environ", text: string): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const named = await Promise.all(
    pids.map(async (pid) => (await readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")).includes(text)),
  );
  return pids.filter((pid, i) => named[i] && pid !== process.pid);
}
