import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { findRecord, statusOf, statusOfRecord } from "../launcher/index.js";
import { systemErrorCode } from "../errors.js";

/** `microvm logs ID`: the guest's console, with -f until the VM ends. */
export function addLogs(program: Command): void {
  program
    .command("logs")
    .description("print a VM's console")
    .argument("<id>", "id or name")
    .option("-f, --follow", "go on until the VM ends")
    .action(async (id: string, { follow }: { follow?: boolean }) => {
      const { vmId, consoleLog } = await statusOfRecord(await findRecord(id));
      let position = await copyFrom(consoleLog, 0);
      while (follow && !["exited", undefined].includes((await statusOf(vmId))?.state)) {
        await sleep(200);
        position = await copyFrom(consoleLog, position);
      }
    });
}

/** Copies what the file has beyond `start` to stdout and returns its end; a file that is not there yet is empty. */
async function copyFrom(path: string, start: number): Promise<number> {
  try {
    const { size } = await stat(path);
    if (size <= start) return start;
    await pipeline(createReadStream(path, { start, end: size - 1 }), process.stdout, { end: false });
    return size;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return start;
    // The reader of a pipe went away, as `head` does.
    if (systemErrorCode(error) === "EPIPE") process.exit(0);
    throw error;
  }
}
