/** What can be said of a spec before anything is started, all of it at once. */
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../errors.js";
import { assertPortFree, portHolderPid } from "./ports.js";
import { examine } from "./prepare.js";
import { vmProcessesBelow } from "./process.js";
import { listRecords, type Owner } from "./record.js";
import { parseSpec, type VmSpec } from "./spec.js";
import { vmDir } from "./vm-folder.js";

export interface PreviewOptions {
  /** Inputs whose values are not known yet: checks that need them are left out. */
  unknown: ReadonlySet<keyof VmSpec>;
  /** Whose running VMs hold their ports rightly. */
  owners: readonly Owner[];
}

/** What the check of the files depends on. */
const examined = [
  ...["rvfPath", "kernelPath", "initramfsPath", "verification", "trustedKeys"],
  ...["memoryMb", "qemuBinary", "enableKvm"],
] as (keyof VmSpec)[];

/** Everything that would keep such a VM from starting on this host now, each with the input it is about. */
export async function previewVm(spec: VmSpec, { unknown, owners }: PreviewOptions): Promise<MicroVmError[]> {
  const checks: Promise<void>[] = [];
  const known = (...keys: (keyof VmSpec)[]) => keys.every((key) => !unknown.has(key));
  if (known(...examined)) {
    const givens = examined.filter((key) => spec[key] !== undefined).map((key) => [key, spec[key]]);
    checks.push(examine(parseSpec(Object.fromEntries(givens) as VmSpec)));
  }
  for (const key of ["apiPort", "sshPort"] as const) {
    const port = spec[key];
    if (port !== undefined && known(key, "bindAddress"))
      checks.push(assertFreeOrOurs(port, key, spec.bindAddress, owners));
  }
  const results = await Promise.allSettled(checks);
  return results.flatMap((result) => {
    if (result.status === "fulfilled") return [];
    if (result.reason instanceof MicroVmError) return [result.reason];
    throw result.reason;
  });
}

/** A port counts as ours by the QEMU that has it: an operation that was cut short may have left it in no record. */
async function assertFreeOrOurs(
  port: number,
  key: "apiPort" | "sshPort",
  bindAddress: string,
  owners: readonly Owner[],
): Promise<void> {
  const holder = await portHolderPid(port, bindAddress);
  if (holder !== undefined && (await pidsOf(owners)).includes(holder)) return;
  await assertPortFree(port, key, bindAddress);
}

async function pidsOf(owners: readonly Owner[]): Promise<number[]> {
  const own = (await listRecords()).filter(({ owner }) =>
    owners.some((one) => isDeepStrictEqual(one, owner)),
  );
  const processes = await Promise.all(own.map(({ vmId }) => vmProcessesBelow(vmDir(vmId))));
  return processes.flat().map(({ pid }) => pid);
}
