/**
 * The launcher owns a VM's life on this host: it checks, plans, spawns, waits, watches and stops. This is the library
 * (`pulumi-microvm/launcher`); the Pulumi provider and the command stand on the same functions.
 */
export { launch, attach, type MicroVmHandle } from "./handle.js";
export { createVm, nameOfFile, type CreateOptions } from "./create.js";
export { updateVm } from "./update.js";
export { destroyVm, type DestroyReport } from "./destroy.js";
export { claimVm, giveVm, unclaimedVm } from "./record/claim.js";
export { glanceAt, isUp, statusOf, statusOfRecord, type VmStatus } from "./evidence/status.js";
export { conditionOf, type Condition, type Drift } from "./evidence/drift.js";
export { ConsoleLog } from "./evidence/console-log.js";
export { findRecord, listRecords, readRecord, type Owner, type VmRecord } from "./record/record.js";
export { pruneVms, type KeptLeftover, type PruneOptions, type PruneReport } from "./end/prune.js";
export type { Leftover } from "./end/leftovers.js";
export {
  checkRequirements,
  describeRequirements,
  type KvmReport,
  type Problem,
  type RequirementsReport,
} from "./host/requirements.js";
export { listStates, pruneStates, removeStates, type SavedState } from "./warm/saved-states.js";
export { vmLockHolder } from "./record/lock.js";
export { dryRun, type DryRun } from "./plan/dry-run.js";
export { architectures, type Arch } from "./host/arch.js";
export { findQemu } from "./host/qemu.js";
export { kvmAvailable } from "./host/accelerator.js";
export { fingerprintNames, fingerprintsOf, hasContent, type Fingerprints } from "./plan/fingerprint.js";
export { memoryShortage, previewVm, type PreviewOptions } from "./plan/preview.js";
export { isPortFree, overlap } from "./ports/ports.js";
export { checkInput, conflictsIn, specKeys, withDefaults, type VmSpec, type VmSpecInput } from "./spec.js";
export type { Progress } from "./progress.js";
export { describeShutdown, type ShutdownReport, type Rung } from "./end/shutdown.js";
export {
  embedKernel,
  extractToFiles,
  generateKeyPair,
  inspectRvf,
  signKernel,
  verifyRvf,
  type Verification,
} from "../rvf/index.js";
export type { Neighbour } from "../client/index.js";
export { MicroVmError, describeError, errorCodes, type ErrorCode } from "../errors.js";
