/** Makes a VM what its spec says now, with as little as that takes. */
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../errors.js";
import type { Progress } from "./attempt.js";
import { boot } from "./boot.js";
import { cancelledOr, checkedName, launchNew, prepared, type CreateOptions } from "./create.js";
import { readEnding } from "./ending.js";
import { exposuresOf } from "./exposure.js";
import { hasContent } from "./fingerprint.js";
import { changePorts } from "./forwards.js";
import { withVmLock } from "./lock.js";
import { connectMonitor } from "./monitor.js";
import { assertPortFree } from "./ports.js";
import { readRecord, writeRecord, type Generation, type VmRecord } from "./record.js";
import { describeShutdown, shutdownProcess, shutdownUnrecorded } from "./shutdown.js";
import { parseSpec, specKeys, withDefaults, type VmSpec, type VmSpecInput } from "./spec.js";
import { isUp, statusOfRecord, type VmStatus } from "./status.js";
import { generationFiles } from "./vm-folder.js";

/**
 * Makes the VM what `input` says, with as little as that takes: nothing where nothing changed, a new record where only deadlines
 * did, other forwards in the running VM for other ports, and for the rest a new generation: everything that can be
 * checked is, and only then the old one is powered down and the next one booted. A VM whose record is gone is launched anew under
 * its id.
 */
export async function updateVm(
  vmId: string,
  input: VmSpecInput,
  options: CreateOptions = {},
): Promise<VmStatus> {
  const spec = parseSpec(input);
  const old = await readRecord(vmId);
  if (old === undefined) {
    const { owner = null, name = vmId } = options;
    const what = { name: checkedName(name), owner, spec };
    // Its files may have been removed under a VM that runs.
    return await launchNew(vmId, what, options, () => shutdownUnrecorded(vmId));
  }
  try {
    return await withVmLock(vmId, () => updateLocked(vmId, spec, options), { signal: options.signal });
  } catch (error) {
    throw cancelledOr(error, options.signal);
  }
}

async function updateLocked(vmId: string, spec: VmSpec, options: CreateOptions): Promise<VmStatus> {
  const old = await readRecord(vmId);
  if (old === undefined)
    throw new MicroVmError("VmNotFound", `${vmId} was removed by another process meanwhile`);
  const { owner = old.owner, name = old.name } = options;
  const next: VmRecord = { ...old, owner, name: checkedName(name), spec };
  const status = await statusOfRecord(old);
  // One that was being stopped may be on its way down.
  const up = old.phase === "ready" && isUp(status) && (await hasSameContent(old));
  const changed = up ? changedKeys(withDefaults(old.spec), spec) : [];
  const moves = changed.some((key) => portKeys.has(key));
  if (up && changed.every((key) => withoutEffect.has(key) || portKeys.has(key))) {
    // Also where nothing moves: an earlier change may have been cut short before it closed what it had to.
    if (old.generation?.guestApiPort && (moves || status.state === "running"))
      return await statusOfRecord(await movePorts(next, old.generation, options));
    if (!moves) {
      await writeRecord(next);
      return await statusOfRecord(next);
    }
  }
  const preparation = await prepared(spec, options);
  await assertNewPortsFree(spec, status.pid === 0 ? undefined : old.generation);
  await stopGeneration(old, options);
  return await statusOfRecord(await boot(next, preparation, options));
}

const changedKeys = (old: Partial<VmSpec>, spec: VmSpec): (keyof VmSpec)[] =>
  specKeys.filter((key) => !isDeepStrictEqual(old[key], spec[key]));

/** What a running VM does not depend on. */
const withoutEffect = new Set<keyof VmSpec>([
  "readyTimeoutSeconds",
  "firstOutputTimeoutSeconds",
  "shutdownTimeoutSeconds",
  "allowUnsafeArgs",
]);

/** What QEMU changes while the guest runs on. */
const portKeys = new Set<keyof VmSpec>(["apiPort", "sshPort", "bindAddress"]);

/** The VM is reached by other ports, and neither its guest nor a connection notices. */
async function movePorts(
  next: VmRecord,
  generation: Generation,
  { onProgress }: Progress,
): Promise<VmRecord> {
  const { guestApiPort = 0 } = generation;
  for (const warning of exposuresOf(next.spec)) onProgress?.(`warning: ${warning}`, "news");
  await using monitor = await connectMonitor(generation, {});
  const start = performance.now();
  let moved = next;
  const isChanged = await changePorts(monitor, { ...next.spec, guestApiPort }, async (bound) => {
    moved = { ...next, generation: { ...generation, ...bound } };
    await writeRecord(moved);
  });
  const millis = (performance.now() - start).toFixed(1);
  if (isChanged) onProgress?.(`ports changed on the running VM in ${millis} ms`, "news");
  return moved;
}

const hasSameContent = async ({ spec, generation }: VmRecord): Promise<boolean> =>
  generation !== undefined && (await hasContent(spec, generation.contentFingerprint));

/** Before the VM that runs, and has its ports, is stopped for one that could not start. */
async function assertNewPortsFree(spec: VmSpec, runs: Generation | undefined): Promise<void> {
  if (spec.apiPort !== runs?.boundApiPort) await assertPortFree(spec.apiPort, "apiPort", spec.bindAddress);
  if (spec.sshPort !== undefined && spec.sshPort !== runs?.boundSshPort)
    await assertPortFree(spec.sshPort, "sshPort", spec.bindAddress);
}

async function stopGeneration(record: VmRecord, { onProgress }: Progress): Promise<void> {
  await writeRecord({ ...record, phase: "stopping" });
  const report = await shutdownProcess(record);
  onProgress?.(describeShutdown(report));
  // QEMU's last thread closes its ports; its exit status is written after that, and the next generation wants them.
  if (record.generation) await readEnding(generationFiles(record.vmId, record.generation.number), 2000);
}
