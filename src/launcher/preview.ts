/** What can be said of a spec before anything is started, all of it at once. */
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../errors.js";
import { assertPortFree } from "./ports.js";
import { examine } from "./prepare.js";
import { listRecords, type Owner } from "./record.js";
import { parseSpec, type VmSpec } from "./spec.js";
import { statusOfRecord } from "./status.js";

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

async function assertFreeOrOurs(
  port: number,
  key: "apiPort" | "sshPort",
  bindAddress: string,
  owners: readonly Owner[],
): Promise<void> {
  const own = (await listRecords()).filter(({ owner }) =>
    owners.some((one) => isDeepStrictEqual(one, owner)),
  );
  const running = (await Promise.all(own.map(statusOfRecord))).filter(({ pid }) => pid !== 0);
  const bound = key === "apiPort" ? "boundApiPort" : "boundSshPort";
  if (!running.some((status) => status[bound] === port)) await assertPortFree(port, key, bindAddress);
}
