/**
 * The next generation takes the place of the one that serves, and no query notices. The record tells at each moment what a launcher
 * that dies leaves: `next` before the ports lead to it, `former` after that.
 */
import { goesOn, unreached, withHint } from "./aftermath.js";
import type { Progress } from "../progress.js";
import { boot } from "../start/boot.js";
import { drain } from "./drain.js";
import { readEnding } from "../evidence/ending.js";
import { movePorts } from "../ports/move-ports.js";
import type { Preparation } from "../plan/prepare.js";
import { readRecord, removeStale, type StartedVm, type VmRecord } from "../record/record.js";
import { stageRecord, writeRecord, type StagedRecord } from "../record/write.js";
import { describeShutdown, shutdownProcess } from "../end/shutdown.js";
import { generationFiles } from "../record/vm-folder.js";

/**
 * Boots `wanted` beside the VM that serves, leads the ports to it once it answers, and powers the former one down when that has
 * finished what was in flight. When it throws before the ports lead to the new one, the old one serves as it did and the record says so.
 */
export async function handOver(
  serving: StartedVm,
  wanted: VmRecord,
  preparation: Preparation,
  options: Progress,
): Promise<VmRecord> {
  const { generation: former } = serving;
  let moved: VmRecord | undefined;
  try {
    const { generation: next } = await boot(temporary(serving, wanted), preparation, {
      ...options,
      beside: serving,
    });
    const { boundApiPort, boundSshPort } = former;
    await movePorts({
      record: { ...wanted, generation: { ...next, boundApiPort, boundSshPort } },
      beside: former,
      async stage(generation) {
        const record: VmRecord = { ...wanted, phase: "ready", generation, former };
        const staged = await stageRecord(record);
        return {
          ...staged,
          putInPlace() {
            staged.putInPlace();
            moved = record;
          },
        };
      },
      ...options,
    });
  } catch (error) {
    if (moved === undefined) {
      await endNext((await readRecord(serving.vmId)) ?? serving).catch(() => {});
      // A port that the new one held until its end is open again only now.
      const serves = await movePorts({ record: serving, stage: asItIs }).then(
        () => true,
        () => false,
      );
      throw withHint(error, serves ? goesOn : unreached);
    }
    // Whatever broke after that, the new one has its place.
  }
  return await endFormer(moved!, options);
}

/** What boots while the other has the ports: by one that only this host reaches and the kernel chooses. */
function temporary(serving: StartedVm, { spec, ...wanted }: VmRecord): VmRecord {
  const { boundApiPort: _, boundSshPort: __, ...generation } = serving.generation;
  return {
    ...wanted,
    spec: { ...spec, bindAddress: "127.0.0.1", apiPort: 0, sshPort: undefined },
    generation,
  };
}

/** Finishes a handover that was cut short, or undoes it where the ports were not handed over yet. The caller holds the VM's lock. */
export async function settle(record: VmRecord, options: Progress): Promise<VmRecord> {
  const { next, former, generation } = record;
  const beside = next ?? former;
  if (beside === undefined) return record;
  options.onProgress?.("an update of this VM was interrupted; what it left is seen to first", "news");
  // The ports may be on either side. Where a monitor does not answer, those of the other one close with its end.
  if (generation)
    await movePorts({ record: { ...record, generation }, beside, stage: asItIs, ...options }).catch(() => {});
  return next ? await endNext(record) : await endFormer(record, options);
}

/** The record tells it already. */
const asItIs = (): Promise<StagedRecord> => {
  const nothing = () => {};
  return Promise.resolve({ putInPlace: nothing, [Symbol.dispose]: nothing });
};

/** Ends what booted beside the VM and did not take its place. */
async function endNext({ next, ...record }: VmRecord): Promise<VmRecord> {
  if (next) await end({ ...record, generation: next }, "quit");
  return await cleared(record);
}

/** Powers down the one that another has taken the place of, once nothing is in flight on it. */
async function endFormer({ former, ...record }: VmRecord, options: Progress): Promise<VmRecord> {
  if (former) {
    const draining = { ...record, generation: former };
    await drain(draining, options);
    const how = await end(draining, "powerdown");
    options.onProgress?.(`the former VM ${how}`);
  }
  return await cleared(record);
}

async function end(record: StartedVm, from: "powerdown" | "quit"): Promise<string> {
  const report = await shutdownProcess(record, { from });
  // The shell above QEMU has a last line to write, into a folder that is about to go.
  await readEnding(generationFiles(record.vmId, record.generation.number));
  return describeShutdown(report);
}

async function cleared(record: VmRecord): Promise<VmRecord> {
  await writeRecord(record);
  await removeStale(record);
  return record;
}
