import { open, type FileHandle } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { findRecord, isUp, statusOfRecord, type VmRecord } from "../launcher/index.js";
import { MicroVmError, systemErrorCode } from "../errors.js";

/** `microvm logs ID`: the guest's console, with -f until the VM ends. */
export function addLogs(program: Command): void {
  program
    .command("logs")
    .description("print a VM's console")
    .argument("<id>", "id or name")
    .option("-f, --follow", "go on until the VM ends, also when it is relaunched")
    .action(async (id: string, { follow }: { follow?: boolean }) =>
      printConsole(await findRecord(id), follow ?? false),
    );
}

async function printConsole({ vmId }: VmRecord, follow: boolean): Promise<void> {
  let path: string | undefined;
  // It stays open, so that its end can be read when the VM and its files have gone meanwhile.
  let file: FileHandle | undefined;
  try {
    for (let ended = false; !ended;) {
      const record = await recordOf(vmId);
      const status = record && (await statusOfRecord(record));
      ended = record === undefined || (status?.state === "exited" && (await staysReady(record)));
      await copyRest(file);
      const next = status && status.consoleLog !== path ? await openIfThere(status.consoleLog) : undefined;
      if (next) {
        await file?.close();
        [file, path] = [next, status?.consoleLog];
        await copyRest(file);
      }
      if (!follow) return;
      await sleep(200);
    }
  } finally {
    await file?.close();
  }
}

/**
 * Whether nobody is about to relaunch a VM that was seen exited. While it is being stopped, it may be for a relaunch; that
 * stands in the record before the stop, so it is read again after it. If it is for good, the record goes.
 */
async function staysReady({ vmId }: VmRecord): Promise<boolean> {
  const record = await recordOf(vmId);
  return record === undefined || (record.phase === "ready" && !isUp(await statusOfRecord(record)));
}

async function recordOf(vmId: string): Promise<VmRecord | undefined> {
  try {
    return await findRecord(vmId);
  } catch (error) {
    if (error instanceof MicroVmError && error.code === "VmNotFound") return undefined;
    throw error;
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Copies what nobody has read of the file yet to stdout. */
async function copyRest(file: FileHandle | undefined): Promise<void> {
  for (;;) {
    const { buffer, bytesRead } = (await file?.read()) ?? { bytesRead: 0 };
    if (!buffer || bytesRead === 0) return;
    await write(buffer.subarray(0, bytesRead));
  }
}

/** Waits until the reader has taken it; ends the command when there is none any more, as with `head`. */
async function write(bytes: Uint8Array): Promise<void> {
  await new Promise<void>((done, fail) =>
    process.stdout.write(bytes, (error) => {
      if (systemErrorCode(error) === "EPIPE") process.exit(0);
      if (error) fail(error);
      else done();
    }),
  );
}
