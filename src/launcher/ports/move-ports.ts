/** Leads a VM's host ports to the QEMU that is to have them. */
import type { Progress } from "../progress.js";
import { changePorts } from "./forwards.js";
import { connectMonitor } from "../evidence/monitor.js";
import { processOf, type Generation, type StartedVm } from "../record/record.js";
import type { StagedRecord } from "../record/write.js";

export interface PortMove extends Pick<Progress, "onProgress"> {
  /** Says by what its generation is to be reached; where its spec leaves the choice (0), by the ports that this had. */
  record: StartedVm;
  /** One that runs beside it and has the ports now, or may have some. They are closed. */
  beside?: Generation | undefined;
  /** Has on disk what is to be the VM's record before the ports that are not wanted any more are closed. */
  stage: (generation: Generation) => Promise<StagedRecord>;
}

/** Neither guest nor connection notices. Throws as `changePorts`, or when a monitor cannot be reached; all is then as it was. */
export async function movePorts({ record, beside, stage, onProgress }: PortMove): Promise<void> {
  const { vmId, spec, generation } = record;
  const { guestApiPort = 0, boundApiPort = 0, boundSshPort = 0 } = generation;
  const reach = {
    bindAddress: spec.bindAddress,
    apiPort: spec.apiPort || boundApiPort,
    sshPort: spec.sshPort === undefined ? undefined : spec.sshPort || boundSshPort,
    guestApiPort,
  };
  // Before a port is touched, unless QEMU is to choose one: then nobody waits for the disk with a port half-way.
  const { apiPort, sshPort } = reach;
  using staged =
    apiPort === 0 || sshPort === 0
      ? undefined
      : await stage({ ...generation, boundApiPort: apiPort, boundSshPort: sshPort });
  await using monitor = await connectMonitor(generation, {});
  // One that is gone has no ports.
  const runs = beside !== undefined && (await processOf(vmId, beside)) !== undefined;
  await using other = runs ? await connectMonitor(beside, {}) : undefined;
  const change = await changePorts(
    monitor,
    reach,
    async (bound) => {
      using chosen = staged ?? (await stage({ ...generation, ...bound }));
      chosen.putInPlace();
    },
    other,
  );
  if (change === undefined) return;
  const how = other ? "handed over" : "changed on the running VM";
  const gap = change.closedMs > 0 ? `, closed for ${change.closedMs.toFixed(1)} ms` : "";
  onProgress?.(`ports ${how} in ${change.millis.toFixed(1)} ms${gap}`, "news");
}
