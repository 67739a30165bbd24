/** What a VM is right now, from its record and the live evidence: process, monitor, files. Plain JSON. */
import { connectQmp, queryStatus } from "../qmp/index.js";
import { readEnding, type Ending } from "./ending.js";
import { apiUrl } from "./ports.js";
import { findVmProcess } from "./process.js";
import { generationFiles, readRecord, type Owner, type VmRecord } from "./record.js";
import type { VmSpec } from "./spec.js";

export interface VmStatus {
  vmId: string;
  name: string;
  owner: Owner | null;
  spec: VmSpec;
  /** creating: its launch never finished; running: it runs; paused, unresponsive: QEMU runs but not the guest or its monitor. */
  state: "creating" | "running" | "paused" | "unresponsive" | "exited";
  /** How it ended, where the state is exited. */
  ending?: Ending["how"];
  /** The state in words: `running`, or how it ended. */
  status: string;
  /** QEMU's exit status, once it ended and somebody was there to see. */
  exitCode?: number;
  /** QEMU's process, while it runs; 0 otherwise. */
  pid: number;
  url: string;
  boundApiPort: number;
  boundSshPort?: number;
  accelerator: "kvm" | "tcg";
  acceleratorReason: string;
  qmpSocket: string;
  consoleLog: string;
  kernelSha256: string;
  kernelIntegrity: string;
  /** From QEMU's spawn to the first HTTP answer, in milliseconds. */
  bootMillis: number;
  /** When QEMU was started, in ISO 8601. */
  startedAt: string;
  qemuVersion: string;
}

/** The status, or undefined when no such VM is recorded. */
export async function statusOf(vmId: string): Promise<VmStatus | undefined> {
  const record = await readRecord(vmId);
  return record && (await statusOfRecord(record));
}

export async function statusOfRecord(record: VmRecord): Promise<VmStatus> {
  const { vmId, generation } = record;
  const files = generationFiles(vmId, generation?.number ?? 0);
  const pid = generation && (await findVmProcess(generation.uuid, files.pidFile));
  return {
    vmId,
    name: record.name,
    owner: record.owner,
    spec: record.spec,
    ...(pid === undefined ? await stateOfGone(record) : await stateOfProcess(record)),
    pid: pid ?? 0,
    url: apiUrl(generation?.boundApiPort ?? 0, record.spec.bindAddress),
    boundApiPort: generation?.boundApiPort ?? 0,
    ...(generation?.boundSshPort !== undefined && { boundSshPort: generation.boundSshPort }),
    accelerator: generation?.accelerator ?? "tcg",
    acceleratorReason: generation?.acceleratorReason ?? "",
    qmpSocket: generation?.qmpSocket ?? "",
    consoleLog: files.console,
    kernelSha256: generation?.kernelSha256 ?? "",
    kernelIntegrity: generation?.kernelIntegrity ?? "",
    bootMillis: generation?.bootMillis ?? 0,
    startedAt: generation?.startedAt ?? record.createdAt,
    qemuVersion: generation?.qemuVersion ?? "",
  };
}

/** Whether the VM may be answering queries. A monitor that does not answer, perhaps to somebody else, proves nothing against it. */
export const isUp = (status: VmStatus | undefined): boolean =>
  status?.state === "running" || status?.state === "unresponsive";

type State = Pick<VmStatus, "state" | "status" | "ending" | "exitCode">;

async function stateOfProcess({ phase, generation }: VmRecord): Promise<State> {
  if (phase === "creating") return { state: "creating", status: "starting, or its launch was interrupted" };
  try {
    await using monitor = await connectQmp(generation!.qmpSocket, { timeoutMs: 2000 });
    const { status, running } = await queryStatus(monitor, { timeoutMs: 2000 });
    return running ? { state: "running", status: "running" } : { state: "paused", status };
  } catch (error) {
    return { state: "unresponsive", status: `its monitor does not answer: ${(error as Error).message}` };
  }
}

async function stateOfGone({ vmId, phase, generation }: VmRecord): Promise<State> {
  if (phase === "creating" || generation === undefined) {
    return { state: "creating", status: "its launch was interrupted, nothing runs" };
  }
  const { how, detail, code } = await readEnding(generationFiles(vmId, generation.number));
  return {
    state: "exited",
    ending: how,
    status: `exited: ${detail}`,
    ...(code !== undefined && { exitCode: code }),
  };
}
