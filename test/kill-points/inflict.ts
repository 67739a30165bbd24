/** Interrupts a command at a kill-point, goes on as a user would, and looks after each step whether all is as it must be. */
import { isUp, listRecords, pruneVms, statusOf } from "../../src/launcher/index.js";
import { leaks, untruths } from "../chaos/audit.js";
import { processesIn, qemusOf } from "../chaos/processes.js";
import { vmDir } from "../../src/launcher/record/vm-folder.js";
import { vmsDir } from "../../src/paths.js";
import { interrupt } from "./interrupt.js";
import { UNASKED, type Operation } from "./moments.js";
import { nameOf, type Point } from "./points.js";
import { killUnlessGone } from "../support/kill.js";
import type { Said, Stack } from "./stack.js";

/** What can be wrong: a VM that no state knows, a second one, a state that no command gets out of, and anything else. */
export type Wrong = "orphan" | "duplicate" | "stuck" | "other";

export interface Report {
  point: string;
  /** Whether the moment came; a command may be done before it. */
  reached: boolean;
  wrong: { kind: Wrong; what: string }[];
  millis: number;
}

/** How long the last of each took that nobody interrupted. */
const lastMillis = { up: 4000, destroy: 2000 };

/** After something wrong the stack is emptied, so that the next point is not blamed for it. */
export async function inflict(stack: Stack, point: Point): Promise<Report> {
  const start = performance.now();
  const round: Round = { stack, unasked: [], wrong: [], words: "" };
  let reached = false;
  try {
    reached = await play(round, point);
  } catch (error) {
    round.wrong.push({ kind: "other", what: String((error as Error).stack) });
  }
  const { wrong, words } = round;
  if (wrong.length > 0) {
    wrong.push({ kind: "other", what: words });
    await stack.clear();
  }
  return { point: nameOf(point), reached, wrong, millis: performance.now() - start };
}

interface Round {
  stack: Stack;
  /** Processes of a plugin that was asked for nothing yet when the command was interrupted. */
  unasked: (number | undefined)[];
  wrong: Report["wrong"];
  /** What the commands said. */
  words: string;
}

/** What leaves a VM that the state may not know of. */
const creating: Operation[] = ["create", "replace", "replaceBeside"];

async function play(round: Round, point: Point): Promise<boolean> {
  const { stack } = round;
  await prepare(round, point);
  const [former] = await listRecords();
  const { reached, words, parties } = await interrupt(stack, point, lastMillis);
  if (point.moment === UNASKED) round.unasked = [parties.plugin, parties.script];
  round.words += `--- interrupted\n${words}`;
  if (point.way === "destroy") {
    await finish(round, "destroy", "up");
    if (creating.includes(point.operation)) await expectNamed(round, former?.vmId);
    else await expectNone(round);
    if (point.operation !== "delete") {
      await finish(round, "up", "destroy");
      await expectOne(round);
    }
  } else {
    await finish(round, "up", "destroy");
    await expectOne(round);
    if (point.operation === "delete") {
      await finish(round, "destroy", "up");
      await expectNone(round);
    }
  }
  await clearPending(round);
  return reached;
}

/** The VM is there, or it is not, and the program asks for what the command is to do. */
async function prepare(round: Round, { operation }: Point): Promise<void> {
  const { stack } = round;
  const isThere = (await listRecords()).length > 0;
  if (isThere && operation === "create") await finish(round, "destroy", "up");
  if (!isThere && operation !== "create") await finish(round, "up", "destroy");
  const { ports } = stack;
  const { updateStrategy: _, options: __, ...wish } = stack.wish;
  const other = <T>(now: T, [one, two]: readonly [T, T]): T => (now === one ? two : one);
  const memoryMb = other(wish.memoryMb, [128, 144]);
  if (operation === "create") await stack.set({ ...wish, apiPort: ports[0] });
  if (operation === "update") await stack.set({ ...wish, memoryMb });
  if (operation === "stopFirst") await stack.set({ ...wish, memoryMb, updateStrategy: "stopFirst" });
  const replaceOnChanges: ["memoryMb"] = ["memoryMb"];
  if (operation === "replace") await stack.set({ ...wish, memoryMb, options: { replaceOnChanges } });
  // Two VMs cannot have one port.
  if (operation === "replaceBeside")
    await stack.set({ apiPort: 0, memoryMb, options: { replaceOnChanges, deleteBeforeReplace: false } });
  if (operation === "ports") await stack.set({ ...wish, apiPort: other(wish.apiPort, ports) });
}

/** A command that is to succeed at once. Where it does not, the other may; a state that neither gets out of is stuck. */
async function finish(round: Round, way: "up" | "destroy", otherWay: "up" | "destroy"): Promise<void> {
  const run = async (command: "up" | "destroy"): Promise<Said> => {
    const start = performance.now();
    const said = await round.stack.run(command);
    if (said.done) lastMillis[command] = performance.now() - start;
    round.words += `--- ${command}\n${said.words}`;
    return said;
  };
  if ((await run(way)).done) return;
  const isStuck = !(await run(otherWay)).done && !(await run(way)).done;
  round.wrong.push({ kind: isStuck ? "stuck" : "other", what: `${way} failed after the interruption` });
}

/** One VM runs, it is what the state says, and it answers. */
async function expectOne(round: Round): Promise<void> {
  const { stack, wrong } = round;
  const records = await listRecords();
  const { vms } = await stack.state();
  const qemus = qemusOf(await processesIn(stack.dir), vmsDir());
  if (qemus.length > 1 || vms.length > 1)
    wrong.push({ kind: "duplicate", what: `${qemus.length} QEMUs run, ${vms.length} VMs are in the state` });
  for (const { vmId } of records)
    if (!vms.some(({ id }) => id === vmId)) wrong.push({ kind: "orphan", what: `${vmId} is in no state` });
  const [vm] = vms;
  if (vm === undefined) return void wrong.push({ kind: "other", what: "the state has no VM" });
  const status = await statusOf(vm.id);
  const isAsAsked =
    isUp(status) &&
    status!.spec.memoryMb === stack.wish.memoryMb &&
    [0, status!.boundApiPort].includes(stack.wish.apiPort);
  const { url, pid } = vm.outputs;
  if (!isAsAsked || status!.url !== url || status!.pid !== pid)
    wrong.push({
      kind: "other",
      what: `${vm.id}: ${JSON.stringify({ status, url, pid, wanted: stack.wish })}`,
    });
  for (const what of [...(await untruths(stack, vm.id)), ...(await left(round))])
    wrong.push({ kind: "other", what });
}

/**
 * A destroy cannot know of a VM that was made and is not in the state; but a user is told of it. The one that the state had before, if any, is
 * gone with all of its processes.
 */
async function expectNamed(round: Round, former: string | undefined): Promise<void> {
  const { stack, wrong } = round;
  for (const what of await stragglers(round)) wrong.push({ kind: "other", what });
  const { removed, kept } = await pruneVms({ all: true, dryRun: true });
  for (const { vmId, unclaimed } of await listRecords()) {
    if (vmId === former || unclaimed === undefined)
      wrong.push({ kind: "orphan", what: `${vmId} outlived destroy` });
    if (![...removed, ...kept].some((one) => one.vmId === vmId))
      wrong.push({ kind: "orphan", what: `${vmId} is named by nobody` });
  }
  if (former === undefined) return;
  for (const { pid } of qemusOf(await processesIn(stack.dir), vmDir(former)))
    wrong.push({ kind: "orphan", what: `QEMU ${pid} of ${former} outlived destroy` });
}

const left = async (round: Round): Promise<string[]> => [
  ...(await leaks(round.stack)),
  ...(await stragglers(round)),
];

/**
 * What is left of plugins. One that was asked for nothing yet has no code of ours in it, and Pulumi's own does not end it when its engine is killed:
 * it is ended here.
 */
async function stragglers({ stack, unasked }: Round): Promise<string[]> {
  const found = await stack.stragglers();
  for (const { pid } of found) if (unasked.includes(pid)) killUnlessGone(pid);
  return found.filter(({ pid }) => !unasked.includes(pid)).map(({ pid, part }) => `${part} ${pid} is left`);
}

/** Nothing runs, and nothing is left. */
async function expectNone(round: Round): Promise<void> {
  const { stack, wrong } = round;
  for (const { vmId } of await listRecords())
    wrong.push({ kind: "orphan", what: `${vmId} outlived destroy` });
  const { vms } = await stack.state();
  if (vms.length > 0)
    wrong.push({ kind: "other", what: `the state still has ${vms.map(({ id }) => id).join()}` });
  for (const what of await left(round)) wrong.push({ kind: "other", what });
}

/** A create that was interrupted stays in the state as pending, with a warning at each command, until a user ends that. */
async function clearPending(round: Round): Promise<void> {
  const { stack, wrong } = round;
  const { vms, pending } = await stack.state();
  if (pending.length === 0) return;
  const { done, words } = await stack.run("refresh", "--clear-pending-creates");
  round.words += `--- refresh\n${words}`;
  const after = await stack.state();
  if (!done || after.pending.length > 0 || after.vms.length !== vms.length)
    wrong.push({ kind: "stuck", what: "a pending create cannot be cleared" });
}
