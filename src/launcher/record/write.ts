/** Writes a VM's record durably: temporary file, fsync, rename. Whoever reads it finds the one or the other, whole. */
import { randomInt } from "node:crypto";
import { closeSync, fsync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import type { VmRecord } from "./record.js";
import { cannotWrite, makeVmDir, recordPath } from "./vm-folder.js";

/** What a record is called until it is whole. */
export const isHalfWritten = (name: string): boolean => /^record\.json\.\d+$/.test(name);

/** A record that is on disk beside the present one, and goes with its scope unless it was put in that one's place. */
export interface StagedRecord extends Disposable {
  /** Throws Io. Takes no time, where a durable write may take tens of milliseconds on a busy disk. */
  putInPlace: () => void;
}

/** Writes the record durably (temporary file, fsync, rename). */
export async function writeRecord(record: VmRecord): Promise<void> {
  using staged = await stageRecord(record);
  staged.putInPlace();
}

/**
 * All of writeRecord but the rename. It is done at once but for the fsync, because of four records a launch only the disk is worth a wait in
 * another thread.
 */
export async function stageRecord(record: VmRecord): Promise<StagedRecord> {
  const { vmId } = record;
  const temporary = `${recordPath(vmId)}.${randomInt(2 ** 47)}`;
  const remove = (): void => {
    try {
      rmSync(temporary, { force: true });
    } catch {
      // Who cannot write cannot remove either; prune does later.
    }
  };
  makeVmDir(vmId);
  try {
    const file = openSync(temporary, "wx", 0o600);
    try {
      writeFileSync(file, `${JSON.stringify(record, null, 2)}\n`);
      await promisify(fsync)(file);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    remove();
    throw cannotWrite(vmId, cause);
  }
  return {
    putInPlace() {
      try {
        renameSync(temporary, recordPath(vmId));
      } catch (cause) {
        throw cannotWrite(vmId, cause);
      }
    },
    [Symbol.dispose]: remove,
  };
}
