/** What has become of a VM that should run and answer: seen in the live VM, since nobody tells. */
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { SSH_PORT } from "../../appliance/contract.js";
import { probeHealth } from "../../client/index.js";
import { hostForwards } from "../../qmp/index.js";
import { tailLines } from "./console.js";
import { connectMonitor } from "./monitor.js";
import { cpuSeconds, type VmProcess } from "../host/process.js";
import { processOf, readRecord, type Generation, type VmRecord } from "../record/record.js";
import { isUp, statusOfRecord, type VmStatus } from "./status.js";
import { answersSince } from "../start/unready.js";

/** What keeps a VM from being what its record says. */
export interface Drift {
  /** In words. */
  what: string;
  /** `anew`: it takes a boot; `inPlace`: it is mended in the running VM. */
  mend: "anew" | "inPlace";
  /** Its guest gives no answer, though QEMU runs. */
  hangs?: true;
  /** The console's last lines, where they may tell more; else "". */
  console: string;
}

export interface Condition {
  status: VmStatus;
  /** Undefined for a VM that runs, answers, and is reached by what its record says. */
  drift: Drift | undefined;
}

/**
 * The VM as it is, or undefined when none is recorded. Takes some tens of milliseconds for one that is in order, and up to
 * half a minute for one that seems to hang (`hangOf`).
 */
export async function conditionOf(vmId: string): Promise<Condition | undefined> {
  const record = await readRecord(vmId);
  if (record === undefined) return undefined;
  const status = await statusOfRecord(record);
  return { status, drift: await driftOf(record, status) };
}

/** What the status tells, and what else can be seen where that is in order. */
export async function driftOf(record: VmRecord, status: VmStatus): Promise<Drift | undefined> {
  const { vmId, phase, generation } = record;
  const anew = async (what: string): Promise<Drift> => ({
    what,
    mend: "anew",
    console: mayTell(status) ? await tailLines(status.consoleLog, 10) : "",
  });
  if (await answersSince(record))
    return { what: "it came up after its launch had failed", mend: "inPlace", console: "" };
  if (!isUp(status) || generation === undefined) return await anew(status.status);
  if (phase !== "ready") return await anew("its stop was interrupted, and QEMU runs");
  if (status.interrupted) return { what: "an update of it was interrupted", mend: "inPlace", console: "" };
  const socket = await missingSocket(generation);
  if (socket !== undefined) return { what: `QEMU's socket ${socket} was removed`, mend: "anew", console: "" };
  const forward = await missingForward(record, generation);
  if (forward !== undefined)
    return { what: `its forward from ${forward} was removed`, mend: "inPlace", console: "" };
  const vm = await processOf(vmId, generation);
  const hang = vm && (await hangOf(vm, status.url));
  return hang === undefined ? undefined : { ...(await anew(hang)), hangs: true };
}

/** What came over it from outside its guest knew nothing of: its last lines are those of its boot. */
const mayTell = ({ ending }: VmStatus): boolean =>
  !["killed", "outOfMemory", "hostReboot"].includes(ending ?? "");

/** QEMU listens on, but no new client finds it; and it makes no socket anew. */
async function missingSocket({ qmpSocket, controlSocket }: Generation): Promise<string | undefined> {
  for (const path of [qmpSocket, controlSocket]) {
    if (!(await stat(path).catch(() => undefined))?.isSocket()) return path;
  }
  return undefined;
}

/** Which of the record's ports QEMU does not forward. Where its monitor does not answer, `hangOf` tells whether that matters. */
async function missingForward(
  { spec: { bindAddress } }: VmRecord,
  generation: Generation,
): Promise<string | undefined> {
  const { guestApiPort, boundApiPort, boundSshPort } = generation;
  // Records of the first format do not know where the guest serves.
  if (guestApiPort === undefined) return undefined;
  const words = (address: string, from: number, to: number) => `${address}:${from} to the guest's ${to}`;
  const wanted = [
    ...(boundApiPort === undefined ? [] : [words(bindAddress, boundApiPort, guestApiPort)]),
    ...(boundSshPort === undefined ? [] : [words(bindAddress, boundSshPort, SSH_PORT)]),
  ];
  try {
    await using monitor = await connectMonitor(generation, { timeoutMs: 2000 });
    const present = (await hostForwards(monitor, { timeoutMs: 2000 })).map((forward) =>
      words(forward.hostAddress, forward.hostPort, forward.guestPort),
    );
    return wanted.find((forward) => !present.includes(forward));
  } catch {
    return undefined;
  }
}

/**
 * How long a guest may give no HTTP reply at all, in milliseconds. The appliance tells its health beside whatever it computes, within
 * milliseconds, so ten seconds are a thousand times its need. But an RVF may bring a guest that answers one request after the
 * other, and clients wait half a minute for a query: one that computes gets that long.
 */
const patience = { idle: 10_000, computing: 30_000 };

/** Words for a guest that does not answer, however long one waits; undefined as soon as it does, be it with an error. */
async function hangOf(vm: VmProcess, url: string): Promise<string | undefined> {
  const start = performance.now();
  const cpuAtStart = cpuSeconds(vm);
  for (;;) {
    const { replied, detail } = await probeHealth(url, { timeoutMs: 5000 });
    if (replied) return undefined;
    const waited = performance.now() - start;
    // Little on a busy host, and many times what an idle guest takes.
    const isComputing = cpuSeconds(vm) - cpuAtStart > (0.05 * waited) / 1000;
    if (waited >= patience[isComputing ? "computing" : "idle"])
      return `hung: QEMU runs, but its guest gave no HTTP answer within ${Math.round(waited / 1000)} s (${detail})`;
    await sleep(250);
  }
}
