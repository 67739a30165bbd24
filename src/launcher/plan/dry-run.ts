/** What a launch would run, without running it. The files it names stay valid: they lie in the cache. */
import type { Progress } from "../progress.js";
import type { Accelerator } from "../host/cpu.js";
import { planQemu } from "./plan.js";
import { prepare } from "./prepare.js";
import { generationFiles, socketPaths } from "../record/vm-folder.js";
import { parseSpec, type VmSpec, type VmSpecInput } from "../spec.js";
import { hostTscKhz } from "../host/tsc.js";

export interface DryRun {
  /** QEMU and its arguments. Id, uuid and nonce are placeholders: a launch draws its own. */
  argv: string[];
  kernelPath: string;
  initramfsPath?: string;
  cmdline: string;
  /** The first one a launch would try. */
  accelerator: Accelerator;
  memoryMb: number;
  vcpus: number;
  apiPort: number;
  sshPort?: number;
  spec: VmSpec;
  warnings: string[];
}

export async function dryRun(config: VmSpecInput, progress: Progress = {}): Promise<DryRun> {
  const spec = parseSpec(config);
  const { kernel, qemu, accelerators, warnings } = await prepare(spec, progress);
  const { accelerator } = accelerators[0]!;
  const vmId = "dry-run";
  const { argv, cmdline } = planQemu({
    spec,
    kernel,
    qemu,
    accelerator,
    tscKhz: hostTscKhz(),
    vmId,
    uuid: "00000000-0000-0000-0000-000000000000",
    nonce: "0",
    files: generationFiles(vmId, 1),
    ...socketPaths(vmId, 1),
  });
  return {
    argv,
    kernelPath: kernel.kernelPath,
    ...(kernel.initramfsPath !== undefined && { initramfsPath: kernel.initramfsPath }),
    cmdline,
    accelerator,
    memoryMb: spec.memoryMb,
    vcpus: spec.vcpus,
    apiPort: spec.apiPort,
    ...(spec.sshPort !== undefined && { sshPort: spec.sshPort }),
    spec,
    warnings,
  };
}
