/** What a VM is right now, from its record and the live evidence: process, monitor, files. Plain JSON. */
import { queryStatus } from "../../qmp/index.js";
import type { Accelerator } from "../host/cpu.js";
import type { Ending } from "./classify.js";
import { readEnding } from "./ending.js";
import { vmLockHolder } from "../record/lock.js";
import { connectMonitor } from "./monitor.js";
import { apiUrl } from "../ports/ports.js";
import { hostBootId, isStopped, type VmProcess } from "../host/process.js";
import {
  processOf,
  readRecord,
  type Generation,
  type Owner,
  type StartedVm,
  type VmRecord,
} from "../record/record.js";
import { generationFiles } from "../record/vm-folder.js";
import { shared } from "./shared.js";
import type { VmSpec } from "../spec.js";

export interface VmStatus {
  vmId: string;
  name: string;
  owner: Owner | null;
  spec: VmSpec;
  /**
   * creating: its launch is under way, failed or never finished; running: it runs; paused: QEMU or its guest stands still, `status` says why; unresponsive: QEMU runs,
   * but its monitor does not answer.
   */
  state: "creating" | "running" | "paused" | "unresponsive" | "exited";
  /** How it ended, where the state is exited. */
  ending?: Ending["how"];
  /** The state in words: `running`, or how it ended. */
  status: string;
  /** QEMU's exit status, once it ended and somebody was there to see. */
  exitCode?: number;
  /** An update of it was interrupted: the next one finishes or undoes that. */
  interrupted?: true;
  /** QEMU's process, while it runs; 0 otherwise. */
  pid: number;
  url: string;
  boundApiPort: number;
  boundSshPort?: number;
  accelerator: Accelerator;
  acceleratorReason: string;
  qmpSocket: string;
  consoleLog: string;
  kernelSha256: string;
  kernelIntegrity: string;
  /** From QEMU's spawn to the first HTTP answer, in milliseconds. */
  bootMillis: number;
  /** It went on from a saved state instead of booting. */
  warm?: true;
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
  const vm = await processOf(vmId, generation);
  const state = vm === undefined ? await stateOfGone(record) : await stateOfProcess(record, generation!, vm);
  return described(record, {
    ...state,
    ...((await isInterrupted(record)) && { interrupted: true as const }),
    pid: vm?.pid ?? 0,
  });
}

/** The status of one that has answered just now: nobody needs to be asked. */
export const statusOfAnswering = (record: StartedVm): VmStatus =>
  described(record, { state: "running", status: "running", pid: record.generation.pid ?? 0 });

const described = (
  { vmId, name, owner, spec, createdAt, generation }: VmRecord,
  state: State & Pick<VmStatus, "pid" | "interrupted">,
): VmStatus => ({
  vmId,
  name,
  owner,
  spec,
  ...state,
  url: apiUrl(generation?.boundApiPort ?? 0, spec.bindAddress),
  boundApiPort: generation?.boundApiPort ?? 0,
  ...(generation?.boundSshPort !== undefined && { boundSshPort: generation.boundSshPort }),
  accelerator: generation?.accelerator ?? "tcg",
  acceleratorReason: generation?.acceleratorReason ?? "",
  qmpSocket: generation?.qmpSocket ?? "",
  consoleLog: generationFiles(vmId, generation?.number ?? 0).console,
  kernelSha256: generation?.kernelSha256 ?? "",
  kernelIntegrity: generation?.kernelIntegrity ?? "",
  bootMillis: generation?.bootMillis ?? 0,
  ...(generation?.warm && { warm: generation.warm }),
  startedAt: generation?.startedAt ?? createdAt,
  qemuVersion: generation?.qemuVersion ?? "",
});

/** What is seen of a VM by its process alone, by who watches it for long: the monitor stays free for others. */
export interface Glance {
  /** QEMU runs. */
  runs: boolean;
  /** It ran and runs no more: the status says `exited`. */
  exited: boolean;
  consoleLog: string;
}

export async function glanceAt({ vmId, phase, generation }: VmRecord): Promise<Glance> {
  const runs = (await processOf(vmId, generation)) !== undefined;
  return {
    runs,
    exited: !runs && phase !== "creating" && generation !== undefined,
    consoleLog: generationFiles(vmId, generation?.number ?? 0).console,
  };
}

/** Whether the VM may be answering queries. A monitor that does not answer, perhaps to somebody else, proves nothing against it. */
export const isUp = (status: VmStatus | undefined): boolean =>
  status?.state === "running" || status?.state === "unresponsive";

const isInterrupted = async ({ vmId, next, former }: VmRecord): Promise<boolean> =>
  (next ?? former) !== undefined && (await vmLockHolder(vmId)) === undefined;

/** Of QEMU's run states (qapi/run-state.json) those into which nobody outside has brought it. */
const haltedWords: Record<string, string> = {
  "guest-panicked": "its guest's kernel panicked and stands still (guest-panicked)",
  "internal-error": "QEMU halted its guest for an error of its own or of KVM (internal-error)",
  "io-error": "its guest stands still since an error of the host's disk (io-error)",
};

type State = Pick<VmStatus, "state" | "status" | "ending" | "exitCode">;

async function stateOfProcess(
  { vmId, phase, failure }: VmRecord,
  generation: Generation,
  vm: VmProcess,
): Promise<State> {
  if (phase === "creating") {
    const left =
      failure === undefined ? "was interrupted, and QEMU runs" : `failed, and QEMU runs: ${failure}`;
    return await stateOfLaunch(vmId, `its launch ${left}`);
  }
  if (isStopped(vm)) {
    const status = `its process is stopped; \`kill -CONT ${vm.pid}\` lets it go on`;
    return { state: "paused", status };
  }
  return await oneAtATime(generation.uuid, () => stateByMonitor(generation));
}

/** A monitor takes one client at a time: many who ask in one process would find it busy by one another. */
const oneAtATime = shared<State>();

async function stateByMonitor(generation: Generation): Promise<State> {
  try {
    await using monitor = await connectMonitor(generation, { timeoutMs: 2000 });
    const { status, running } = await queryStatus(monitor, { timeoutMs: 2000 });
    return running
      ? { state: "running", status: "running" }
      : { state: "paused", status: haltedWords[status] ?? status };
  } catch (error) {
    return { state: "unresponsive", status: `its monitor does not answer: ${(error as Error).message}` };
  }
}

async function stateOfGone({ vmId, phase, failure, generation }: VmRecord): Promise<State> {
  if (phase === "creating" || generation === undefined) {
    const left = failure === undefined ? "was interrupted, nothing runs" : `failed: ${failure}`;
    return await stateOfLaunch(vmId, `its launch ${left}`);
  }
  const { how, detail, code } = await endingOf(vmId, generation);
  return {
    state: "exited",
    ending: how,
    status: `exited: ${detail}`,
    ...(code !== undefined && { exitCode: code }),
  };
}

async function stateOfLaunch(vmId: string, left: string): Promise<State> {
  const launcher = await vmLockHolder(vmId);
  return { state: "creating", status: launcher ? `process ${launcher.pid} is at work on it` : left };
}

async function endingOf(vmId: string, generation: Generation): Promise<Ending> {
  const ending = await readEnding(generationFiles(vmId, generation.number));
  // An exit status was written before the host went down; without one it took QEMU along.
  if (ending.code !== undefined || generation.hostBootId === undefined) return ending;
  if (generation.hostBootId === hostBootId()) return ending;
  return { how: "hostReboot", detail: "the host was booted anew while it ran" };
}
