/**
 * The appliance: the kernel and `/init` that make an RVF bootable, and the contract between host and guest. Builds
 * run here and in the repository's tools only.
 */
export { buildAppliance, type Appliance, type BuildApplianceOptions } from "./build.js";
export { kernelKinds, type KernelKind } from "./kernel.js";
export * from "./contract.js";
