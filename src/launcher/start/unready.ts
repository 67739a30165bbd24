/**
 * A VM that was started and did not become ready, where it is kept: for whoever knows it by its id, to look at, to start again, or to remove.
 */
import { probeHealth } from "../../client/index.js";
import { MicroVmError } from "../../errors.js";
import type { Progress } from "../progress.js";
import { apiUrl } from "../ports/ports.js";
import { processOf, readRecord, type VmRecord } from "../record/record.js";
import { writeRecord } from "../record/write.js";

/** Whether its QEMU came up, and only its guest did not. Before that, and of what was called off, nothing is worth keeping. */
export async function isUnready(vmId: string, error: unknown, { signal }: Progress): Promise<boolean> {
  if (signal?.aborted || !(error instanceof MicroVmError)) return false;
  if (!["Timeout", "QemuExited"].includes(error.code)) return false;
  const record = await readRecord(vmId);
  return record?.phase === "creating" && record.generation?.pid !== undefined;
}

/** Writes down why its launch failed. */
export async function noteFailure(vmId: string, { code, message }: MicroVmError): Promise<void> {
  const record = await readRecord(vmId);
  if (record) await writeRecord({ ...record, failure: `${code}: ${message}` });
}

/** Whether its guest answers after all. */
export async function answersSince({ vmId, spec, phase, failure, generation }: VmRecord): Promise<boolean> {
  if (phase !== "creating" || failure === undefined || generation?.boundApiPort === undefined) return false;
  if (!(await processOf(vmId, generation))) return false;
  const url = apiUrl(generation.boundApiPort, spec.bindAddress);
  return (await probeHealth(url, { timeoutMs: 2000 })).answers;
}

/** The record of such a VM as that of one that is ready; every other as it is. The caller holds the VM's lock. */
export async function takenAsReady(record: VmRecord): Promise<VmRecord> {
  if (!(await answersSince(record))) return record;
  const ready: VmRecord = { ...record, phase: "ready", failure: undefined };
  await writeRecord(ready);
  return ready;
}
