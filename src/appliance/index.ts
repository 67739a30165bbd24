/**
 * The appliance: the kernel and `/init` that make an RVF bootable, and the contract between host and guest. Builds
 * run here and in the repository's tools only.
 */
export { applianceArchs, type ApplianceArch } from "./arch.js";
export { buildAppliance, type BuildApplianceOptions, type BuiltAppliance } from "./build.js";
export { copyImage, type Appliance } from "./cache.js";
export {
  applianceFingerprint,
  currentAppliance,
  ensureAppliance,
  makeAppliance,
  type CurrentAppliance,
  type MadeAppliance,
} from "./current.js";
export { kernelKinds, type KernelKind } from "./kernel.js";
export { nowAndThen } from "./now-and-then.js";
export { takePrebuilt, type PrebuiltOptions } from "./prebuilt.js";
export * from "./contract.js";
