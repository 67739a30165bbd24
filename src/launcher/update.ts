/** Makes a VM what its spec says now, with as little as that takes. */
import { MicroVmError } from "../errors.js";
import type { Progress } from "./progress.js";
import { cancelledOr, checkedName, launchNew, prepared, type CreateOptions } from "./create.js";
import { driftOf } from "./evidence/drift.js";
import { exposuresOf } from "./plan/exposure.js";
import { isBootedFromThem } from "./plan/fingerprint.js";
import { handOver, settle } from "./change/handover.js";
import { assertHostCanHold } from "./host/host-memory.js";
import { calledOffOr, throwIfCalledOff, withVmLock } from "./record/lock.js";
import { movePorts } from "./ports/move-ports.js";
import { assertPortsFree, overlap } from "./ports/ports.js";
import { readRecord, removeStale, type StartedVm, type VmRecord } from "./record/record.js";
import { stageRecord, writeRecord } from "./record/write.js";
import { relaunch, whyStopFirst } from "./change/relaunch.js";
import { shutdownUnrecorded } from "./end/shutdown.js";
import { parseSpec, type VmSpec, type VmSpecInput } from "./spec.js";
import { isUp, statusOfAnswering, statusOfRecord, type VmStatus } from "./evidence/status.js";
import { takenAsReady } from "./start/unready.js";
import { effectsBetween } from "./change/update-effects.js";

/**
 * Makes the VM what `input` says, with as little as that takes (update-effects.ts): nothing where nothing changed, a new record where only
 * deadlines did, other forwards in the running VM for other ports. For the rest the next generation boots beside the one that serves,
 * takes its ports once it answers, and the old one is powered down when nothing is in flight on it any more. One that cannot hand over, or
 * for which `updateStrategy` or the host's memory wants it, is stopped before. When it throws, a VM that served goes on as it was, as far
 * as that can be; the error's hint tells. One that did not serve is kept with `keepUnready` as createVm does. A VM whose record is gone is launched anew under its id.
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
    const work = async (signal = options.signal) => {
      try {
        const status = await updateLocked(vmId, spec, { ...options, signal });
        await throwIfCalledOff(vmId);
        return status;
      } catch (error) {
        throw await calledOffOr(vmId, error);
      }
    };
    return await withVmLock(vmId, work, { signal: options.signal });
  } catch (error) {
    throw cancelledOr(error, options.signal);
  }
}

async function updateLocked(
  vmId: string,
  spec: VmSpec,
  { keepUnready, ...options }: CreateOptions,
): Promise<VmStatus> {
  const found = await readRecord(vmId);
  if (found === undefined)
    throw new MicroVmError("VmNotFound", `${vmId} was removed by another process meanwhile`);
  // A launcher that died while it changed ports left the record that it was about to put in place.
  await removeStale(found);
  const old = await takenAsReady(await settle(found, options));
  const { owner = old.owner, name = old.name } = options;
  const wanted: VmRecord = { ...old, owner, name: checkedName(name), spec };
  const status = await patientStatus(old);
  // One that was being stopped may be on its way down.
  const up = old.phase === "ready" && isUp(status);
  const effects = effectsBetween(old.spec, spec);
  const asItWas = up && !effects.has("boot") && (await isBootedFromThem(old));
  const drift = asItWas ? await driftOf(old, status) : undefined;
  if (asItWas && drift?.mend !== "anew") {
    // Also where nothing moves: an earlier change may have been cut short before it closed what it had to.
    if (old.generation?.guestApiPort && (effects.has("ports") || status.state === "running"))
      return statusOfAnswering(await changedInPlace({ ...wanted, generation: old.generation }, options));
    if (!effects.has("ports")) {
      await writeRecord(wanted);
      return await statusOfRecord(wanted);
    }
  }
  const preparation = await prepared(spec, options);
  assertHostCanHold(spec.memoryMb);
  await assertNewPortsFree(spec, status.pid === 0 ? undefined : old);
  // One that hangs has nothing in flight.
  const served = up && drift?.hangs !== true;
  const why = whyNotBeside(status) ?? whyStopFirst(spec);
  if (served && why === undefined && old.generation !== undefined) {
    const serving = { ...old, generation: old.generation };
    return await statusOfRecord(await handOver(serving, wanted, preparation, options));
  }
  if (served) options.onProgress?.(`warning: the VM does not answer while the new one boots: ${why}`, "news");
  return await statusOfRecord(
    await relaunch(old, wanted, preparation, { ...options, served, keepUnready: !served && keepUnready }),
  );
}

/** A monitor that is late, or that somebody else holds, is asked again: without it the VM's ports cannot be handed over. */
async function patientStatus(record: VmRecord): Promise<VmStatus> {
  for (let tries = 1; ; tries++) {
    const status = await statusOfRecord(record);
    if (status.state !== "unresponsive" || tries === 3) return status;
  }
}

const whyNotBeside = ({ state, status }: VmStatus): string | undefined =>
  state === "running" ? undefined : `its ports cannot be handed over, ${status}`;

/** The VM is reached by other ports, and neither its guest nor a connection notices. */
async function changedInPlace(wanted: StartedVm, { onProgress }: Progress): Promise<StartedVm> {
  for (const warning of exposuresOf(wanted.spec)) onProgress?.(`warning: ${warning}`, "news");
  let record = wanted;
  await movePorts({
    record: wanted,
    onProgress,
    async stage(generation) {
      record = { ...wanted, generation };
      return await stageRecord(record);
    },
  });
  return record;
}

/** Before anything is started or stopped. */
async function assertNewPortsFree(spec: VmSpec, runs: VmRecord | undefined): Promise<void> {
  const isOurs = (port: number): boolean =>
    runs !== undefined &&
    [runs.generation?.boundApiPort, runs.generation?.boundSshPort].includes(port) &&
    overlap(runs.spec.bindAddress, spec.bindAddress);
  await assertPortsFree(spec, isOurs);
}
