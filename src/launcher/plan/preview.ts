/** What can be said of a spec before anything is started, all of it at once. */
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../../errors.js";
import { vmsDir } from "../../paths.js";
import { assertHostCanHold, freeMemoryMb, memoryNotFree, memoryTakenMb } from "../host/host-memory.js";
import { assertPortFree, portHolderPid } from "../ports/ports.js";
import { examine } from "./prepare.js";
import { realOf, vmProcessesBelow } from "../host/process.js";
import { listRecords, type Owner, type VmRecord } from "../record/record.js";
import { parseSpec, type VmSpec } from "../spec.js";
import { vmDir } from "../record/vm-folder.js";

export interface PreviewOptions {
  /** Inputs whose values are not known yet: checks that need them are left out. */
  unknown: ReadonlySet<keyof VmSpec>;
  /** Whose VM it is: what that has it can have again. */
  owners: readonly Owner[];
  /** Others whose VMs are about to give up such ports. */
  yielding?: readonly Owner[];
}

/** What the check of the files depends on. */
const examined = [
  ...["rvfPath", "kernel", "kernelPath", "initramfsPath", "verification", "trustedKeys"],
  ...["memoryMb", "qemuBinary", "enableKvm"],
] as (keyof VmSpec)[];

/** Everything that would keep such a VM from starting on this host now, each with the input it is about. */
export async function previewVm(
  spec: VmSpec,
  { unknown, owners, yielding = [] }: PreviewOptions,
): Promise<MicroVmError[]> {
  const running = await runningVms();
  const checks: Promise<void>[] = [];
  const known = (...keys: (keyof VmSpec)[]) => keys.every((key) => !unknown.has(key));
  if (known(...examined)) {
    const keys = [...examined, ...(known("vcpus") ? (["vcpus"] as const) : [])];
    const givens = keys.filter((key) => spec[key] !== undefined).map((key) => [key, spec[key]]);
    checks.push(examine(parseSpec(Object.fromEntries(givens) as VmSpec)));
  }
  const own = running.filter(belongsTo(owners));
  if (known("memoryMb")) checks.push(Promise.resolve().then(() => assertMemory(spec.memoryMb, own)));
  for (const key of ["apiPort", "sshPort"] as const) {
    if (spec[key] === undefined || !known(key, "bindAddress")) continue;
    checks.push(assertFreeOrTheirs(spec, key, running, [...owners, ...yielding]));
  }
  const results = await Promise.allSettled(checks);
  return results.flatMap((result) => {
    if (result.status === "fulfilled") return [];
    if (result.reason instanceof MicroVmError) return [result.reason];
    throw result.reason;
  });
}

/** With each QEMU that is below its folder: an operation that was cut short may have left one that the record does not name. */
type RunningVm = VmRecord & { pids: number[] };

async function runningVms(): Promise<RunningVm[]> {
  const [records, processes] = await Promise.all([listRecords(), vmProcessesBelow(vmsDir())]);
  return records
    .map((record) => {
      const folder = `${realOf(vmDir(record.vmId))}/`;
      const own = processes.filter(({ pidFile }) => pidFile.startsWith(folder));
      return { ...record, pids: own.map(({ pid }) => pid) };
    })
    .filter(({ pids }) => pids.length > 0);
}

const belongsTo =
  (owners: readonly Owner[]) =>
  ({ owner }: RunningVm): boolean =>
    owners.some((one) => isDeepStrictEqual(one, owner));

/** A port counts as theirs by the QEMU that has it. */
async function assertFreeOrTheirs(
  { bindAddress, ...ports }: VmSpec,
  key: "apiPort" | "sshPort",
  running: readonly RunningVm[],
  owners: readonly Owner[],
): Promise<void> {
  const port = ports[key]!;
  const pid = await portHolderPid(port, bindAddress);
  const holder = running.find(({ pids }) => pid !== undefined && pids.includes(pid));
  if (!holder || !belongsTo(owners)(holder))
    await assertPortFree(port, key, bindAddress).catch(naming(holder));
}

/** A QEMU among others is told best by its VM. */
const naming = (holder: RunningVm | undefined) => (error: unknown) => {
  if (holder === undefined || !(error instanceof MicroVmError)) throw error;
  const { vmId, owner } = holder;
  const whose = owner ? ` of the Pulumi stack ${owner.project}/${owner.stack}` : "";
  const hint = `It is the VM ${vmId}${whose}. ${error.hint ?? ""}`.trim();
  throw new MicroVmError(error.code, error.message, { ...error, hint, cause: error });
};

/** Throws HostMemoryTooSmall. */
function assertMemory(memoryMb: number, own: readonly RunningVm[]): void {
  const wantedMb = memoryToTakeMb(memoryMb, own);
  if (wantedMb === 0) return;
  assertHostCanHold(memoryMb);
  const freeMb = freeMemoryMb();
  if (wantedMb > freeMb) throw memoryNotFree(memoryMb, freeMb);
}

/** What a VM has already it can have again. */
function memoryToTakeMb(memoryMb: number, own: readonly RunningVm[]): number {
  const had = own.map(({ spec }) => spec.memoryMb);
  if (had.some((mb) => mb >= memoryMb)) return 0;
  return memoryTakenMb(memoryMb) - had.reduce((sum, mb) => sum + memoryTakenMb(mb), 0);
}

/** What VMs of these owners take at most of this host's memory, in MiB, and what is free; undefined where that is enough for all at once. */
export async function memoryShortage(
  wishes: readonly { owner: Owner; memoryMb: number }[],
): Promise<{ wantedMb: number; freeMb: number } | undefined> {
  const running = await runningVms();
  const freeMb = freeMemoryMb();
  const wantedMb = wishes
    .map(({ owner, memoryMb }) => memoryToTakeMb(memoryMb, running.filter(belongsTo([owner]))))
    .reduce((sum, mb) => sum + Math.max(0, mb), 0);
  return wantedMb > freeMb ? { wantedMb, freeMb } : undefined;
}
