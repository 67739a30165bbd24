import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { ConsoleLog, findRecord, glanceAt, vmLockHolder, type VmRecord } from "../launcher/index.js";
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
  // Their files stay open, so that their ends can be read when the VM and its folder have gone meanwhile.
  const logs = new Map<string, ConsoleLog>();
  const drop = async (isOver: (path: string) => boolean) => {
    for (const [path, log] of logs) {
      if (!isOver(path)) continue;
      logs.delete(path);
      await log[Symbol.asyncDispose]();
    }
  };
  try {
    for (let ended: boolean | undefined = false; !ended;) {
      const record = await recordOf(vmId);
      const vm = record && (await glanceAt(record));
      ended =
        record === undefined ||
        (vm?.exited && (await staysReady(record))) ||
        // A launch or a stop of it was interrupted, and nobody goes on with it.
        (!vm?.runs && record.phase !== "ready" && (await vmLockHolder(vmId)) === undefined);
      for (const log of logs.values()) await copyRest(log);
      if (vm && !logs.has(vm.consoleLog)) {
        const log = new ConsoleLog(vm.consoleLog);
        logs.set(vm.consoleLog, log);
        await copyRest(log);
      }
      // One whose place was taken goes on while it finishes what is in flight.
      if (!record?.former) await drop((path) => path !== vm?.consoleLog);
      if (!follow) return;
      await sleep(200);
    }
  } finally {
    await drop(() => true);
  }
}

/**
 * Whether nobody is about to relaunch a VM that was seen exited. While it is being stopped, it may be for a relaunch; that
 * stands in the record before the stop, so it is read again after it. If it is for good, the record goes.
 */
async function staysReady({ vmId }: VmRecord): Promise<boolean> {
  const record = await recordOf(vmId);
  return record === undefined || (record.phase === "ready" && !(await glanceAt(record)).runs);
}

async function recordOf(vmId: string): Promise<VmRecord | undefined> {
  try {
    return await findRecord(vmId);
  } catch (error) {
    if (error instanceof MicroVmError && error.code === "VmNotFound") return undefined;
    throw error;
  }
}

/** Copies what nobody has read of the console yet to stdout; a terminal must not obey what a guest says. */
async function copyRest(log: ConsoleLog): Promise<void> {
  for await (const bytes of log.rest()) await write(process.stdout.isTTY ? withoutControls(bytes) : bytes);
}

/** All of ASCII's but tab and line feed. Bytes beyond ASCII are parts of letters. */
const withoutControls = (bytes: Uint8Array): Uint8Array =>
  bytes.filter((byte) => byte === 0x09 || byte === 0x0a || (byte >= 0x20 && byte !== 0x7f));

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
