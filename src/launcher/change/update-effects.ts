/** What the change of each input does to a VM that runs. Pure. */
import { isDeepStrictEqual } from "node:util";
import { specKeys, withDefaults, type VmSpec } from "../spec.js";

/**
 * none: it is written down, the VM does not depend on it; ports: QEMU changes them while the guest runs on; boot: the VM boots anew,
 * as its next generation.
 */
export type UpdateEffect = "none" | "ports" | "boot";

/** Inputs that are not here cannot be: whoever adds one has to say what its change does. */
export const updateEffects: Readonly<Record<keyof VmSpec, UpdateEffect>> = {
  rvfPath: "boot",
  memoryMb: "boot",
  vcpus: "boot",
  apiPort: "ports",
  sshPort: "ports",
  bindAddress: "ports",
  enableKvm: "boot",
  qemuBinary: "boot",
  extraArgs: "boot",
  allowUnsafeArgs: "none",
  kernel: "boot",
  kernelPath: "boot",
  initramfsPath: "boot",
  verification: "boot",
  trustedKeys: "boot",
  readyTimeoutSeconds: "none",
  firstOutputTimeoutSeconds: "none",
  shutdownTimeoutSeconds: "none",
  warmStart: "none",
  updateStrategy: "none",
  drainTimeoutSeconds: "none",
};

/** All that is to be done from one spec to the other. An input that the old one is too old to know had its default. */
export function effectsBetween(old: Partial<VmSpec>, spec: VmSpec): ReadonlySet<UpdateEffect> {
  const before = withDefaults(old);
  const changed = specKeys.filter((key) => !isDeepStrictEqual(before[key], spec[key]));
  return new Set(changed.map((key) => updateEffects[key]));
}
