/**
 * Waits until the guest really answers. A TCP connect proves nothing, because QEMU's user network accepts before there is a
 * guest; so the guest's own ready line (with the nonce that only it was told) is awaited, or an HTTP answer from one
 * that knows no ready line.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { FATAL_LINE, READY_LINE } from "../../appliance/contract.js";
import { probeHealth } from "../../client/index.js";
import { MicroVmError } from "../../errors.js";
import { changesOf } from "./changes.js";
import { firstBytes, hasOutput, sizeOf } from "../evidence/console.js";
import { evidenceOf, readEnding } from "../evidence/ending.js";
import { wordsBytes } from "./keeper.js";
import { isAlive, type ProcessIdentity } from "../host/process.js";
import type { GenerationFiles } from "../record/vm-folder.js";

export interface ReadyWatch {
  files: GenerationFiles;
  vm: ProcessIdentity;
  nonce: string;
  /** `http://127.0.0.1:<port>` */
  url: string;
  timeoutMs: number;
  /** What the time-out is counted from, by `performance.now()`; default now. */
  since?: number | undefined;
  /** Whether an HTTP answer counts without the guest's own line: a guest that is to take a nonce may serve before it does. */
  wordOnly?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** Throws QemuExited when the VM ends first, Timeout with the levels reached and the console's tail, or Cancelled. */
export async function waitReady(watch: ReadyWatch): Promise<void> {
  const { timeoutMs, since = performance.now() } = watch;
  const left = Math.max(0, since + timeoutMs - performance.now());
  let lastProbe = "none was answered yet";
  const httpAnswer = async (pauseMs: number, signal: AbortSignal): Promise<"ready"> => {
    for (;;) {
      const { answers, detail } = await probeHealth(watch.url, { timeoutMs: 1000, signal });
      if (answers) return "ready";
      lastProbe = detail;
      await sleep(pauseMs, undefined, { signal });
    }
  };
  // The deadline ends the race before its story is gathered, which takes time in which a guest may still come up.
  const outcome = await race<"ready" | "late">(watch.signal, [
    (signal) => guestsWord(watch, signal).then(() => httpAnswer(20, signal)),
    ...(watch.wordOnly ? [] : [(signal: AbortSignal) => httpAnswer(250, signal)]),
    (signal) => end(watch, signal),
    (signal) => sleep(left, "late" as const, { signal }),
  ]);
  if (outcome === "late") throw await timeoutError(watch, lastProbe);
}

/** The first of several waits to end; the others are then stopped. A cancelled one throws Cancelled. */
export async function race<T>(
  outer: AbortSignal | undefined,
  waits: ((signal: AbortSignal) => Promise<T>)[],
): Promise<T> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, ...(outer ? [outer] : [])]);
  try {
    return await Promise.race(waits.map((wait) => wait(signal)));
  } catch (error) {
    if (outer?.aborted && outer.reason instanceof MicroVmError) throw outer.reason;
    if (outer?.aborted && !(error instanceof MicroVmError))
      throw new MicroVmError("Cancelled", "the launch was cancelled", { cause: error });
    throw error;
  } finally {
    done.abort();
  }
}

/** Ends when the guest wrote its ready line; throws when it wrote why it cannot serve. */
export async function guestsWord(
  watch: Pick<ReadyWatch, "files" | "nonce">,
  signal: AbortSignal,
): Promise<void> {
  for await (const _ of changesOf(watch.files.ready, signal)) {
    const { ready, fatal } = await guestWords(watch);
    if (ready) return;
    if (fatal !== undefined) throw await gaveUp(watch, fatal);
  }
  signal.throwIfAborted();
}

/** Throws once QEMU is gone, however far its guest had come. */
async function end(watch: ReadyWatch, signal: AbortSignal): Promise<never> {
  // Its last words, or those of the shell above it.
  for await (const _ of changesOf(watch.files.stderr, signal))
    if (!isAlive(watch.vm)) throw await death(watch);
  throw signal.reason;
}

/** What the guest has written on its own channel so far. */
async function guestWords({
  files,
  nonce,
}: Pick<ReadyWatch, "files" | "nonce">): Promise<{ ready: boolean; fatal?: string | undefined }> {
  if (sizeOf(files.ready) === 0) return { ready: false };
  const lines = (await firstBytes(files.ready, wordsBytes)).toString("utf8").split("\n").slice(0, -1);
  const fatal = lines.find((line) => line.startsWith(`${FATAL_LINE} `));
  return { ready: lines.includes(`${READY_LINE} ${nonce}`), fatal: fatal?.slice(FATAL_LINE.length + 1) };
}

async function gaveUp({ files }: Pick<ReadyWatch, "files">, reason: string): Promise<MicroVmError> {
  return new MicroVmError("QemuExited", `the guest gave up: ${reason}`, {
    evidence: await evidenceOf(files),
  });
}

/** For a guest that was reset, which ends QEMU, before it wrote anything. */
export const wordlessHint =
  "The guest came to no word: memoryMb is too little to unpack its kernel, or the kernel is not one for this machine.";

async function death(watch: ReadyWatch): Promise<MicroVmError> {
  const ending = await readEnding(watch.files);
  // The guest's own last words say more than the way it went.
  const { fatal } = await guestWords(watch);
  if (fatal !== undefined) return await gaveUp(watch, fatal);
  return new MicroVmError("QemuExited", `${ending.detail} before the VM answered`, {
    evidence: await evidenceOf(watch.files),
    hint:
      ending.how === "panic"
        ? "The kernel needs an init that starts an HTTP server: check the RVF's image and its command line."
        : hasOutput(watch.files.console)
          ? "The console's last lines above are the guest's own; more memoryMb helps where it ran out of memory."
          : wordlessHint,
  });
}

/** How far a launch can come, in this order; a guest without our init skips the ready line. */
const levels = ["process", "monitor", "console", "ready line", "HTTP"] as const;

/** `reached process, monitor; not reached console, ready line, HTTP` */
export function levelsReached(reached: readonly (typeof levels)[number][]): string {
  const others = levels.filter((level) => !reached.includes(level));
  return `reached ${reached.join(", ") || "nothing"}; not reached ${others.join(", ")}`;
}

async function timeoutError(watch: ReadyWatch, lastProbe: string): Promise<MicroVmError> {
  const { files, url, timeoutMs } = watch;
  const console = hasOutput(files.console) ? (["console"] as const) : [];
  const readyLine = (await guestWords(watch)).ready ? (["ready line"] as const) : [];
  const reached = levelsReached(["process", "monitor", ...console, ...readyLine]);
  return new MicroVmError("Timeout", `${url} did not answer within ${timeoutMs / 1000} s: ${reached}`, {
    evidence: `the last HTTP request: ${lastProbe}\n${await evidenceOf(files)}`,
    hint: "Raise readyTimeoutSeconds on a slow host; otherwise the console above shows where the guest stopped.",
  });
}
