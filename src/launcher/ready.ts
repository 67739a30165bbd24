/**
 * Waits until the guest really answers. A TCP connect proves nothing, because QEMU's user network accepts before there is a
 * guest; so the guest's own ready line (with the nonce that only it was told) is awaited, or an HTTP answer from one
 * that knows no ready line.
 */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { FATAL_LINE, READY_LINE } from "../appliance/contract.js";
import { probeHealth } from "../client/index.js";
import { MicroVmError } from "../errors.js";
import { hasContent } from "./console.js";
import { evidenceOf, readEnding } from "./ending.js";
import { isAlive } from "./process.js";
import type { GenerationFiles } from "./record.js";

export interface ReadyWatch {
  files: GenerationFiles;
  uuid: string;
  nonce: string;
  pid: number;
  /** `http://127.0.0.1:<port>` */
  url: string;
  timeoutMs: number;
  /** Give up early when the console is still empty after this time: an accelerator that does not run. */
  firstSignMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Throws QemuExited when the VM ends first, Timeout with the level reached and the console's tail, or Cancelled. */
export async function waitReady(watch: ReadyWatch): Promise<void> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, ...(watch.signal ? [watch.signal] : [])]);
  try {
    await Promise.race([
      readyLine(watch, signal).then(() => httpAnswer(watch, 20, signal)),
      httpAnswer(watch, 250, signal),
      death(watch, signal),
      ...(watch.firstSignMs === undefined ? [] : [firstSign(watch, watch.firstSignMs, signal)]),
      sleep(watch.timeoutMs, undefined, { signal }).then(async () => {
        throw await timeoutError(watch);
      }),
    ]);
  } catch (error) {
    if (watch.signal?.reason instanceof MicroVmError) throw watch.signal.reason;
    if (watch.signal?.aborted)
      throw new MicroVmError("Cancelled", "the launch was cancelled", { cause: error });
    throw error;
  } finally {
    done.abort();
  }
}

/** What the guest has written on its own channel so far. */
async function guestWords({
  files,
  nonce,
}: ReadyWatch): Promise<{ ready: boolean; fatal?: string | undefined }> {
  const lines = (await readFile(files.ready, "utf8").catch(() => "")).split("\n").slice(0, -1);
  const fatal = lines.find((line) => line.startsWith(`${FATAL_LINE} `));
  return { ready: lines.includes(`${READY_LINE} ${nonce}`), fatal: fatal?.slice(FATAL_LINE.length + 1) };
}

/** Ends when the guest wrote its ready line; throws when it wrote why it cannot serve. */
async function readyLine(watch: ReadyWatch, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { ready, fatal } = await guestWords(watch);
    if (ready) return;
    if (fatal !== undefined) throw await gaveUp(watch, fatal);
    await sleep(10, undefined, { signal });
  }
}

async function gaveUp({ files }: ReadyWatch, reason: string): Promise<MicroVmError> {
  return new MicroVmError("QemuExited", `the guest gave up: ${reason}`, {
    evidence: await evidenceOf(files),
  });
}

async function httpAnswer({ url }: ReadyWatch, pauseMs: number, signal: AbortSignal): Promise<void> {
  while (!(await probeHealth(url, { timeoutMs: 1000, signal })).answers) {
    await sleep(pauseMs, undefined, { signal });
  }
}

async function death(watch: ReadyWatch, signal: AbortSignal): Promise<never> {
  const { files, pid, uuid } = watch;
  while (await isAlive(pid, uuid)) await sleep(20, undefined, { signal });
  // The guest's own last words say more than the way it went.
  const { fatal } = await guestWords(watch);
  if (fatal !== undefined) throw await gaveUp(watch, fatal);
  const ending = await readEnding(files);
  throw new MicroVmError("QemuExited", `${ending.detail} before the VM answered`, {
    evidence: await evidenceOf(files),
    hint:
      ending.how === "panic"
        ? "The kernel needs an init that starts an HTTP server: check the RVF's image and its command line."
        : "The console's last lines above are the guest's own; more memoryMb helps where it ran out of memory.",
  });
}

async function firstSign({ files }: ReadyWatch, allowanceMs: number, signal: AbortSignal): Promise<void> {
  await sleep(allowanceMs, undefined, { signal });
  if (!(await hasContent(files.console))) {
    throw new MicroVmError("Timeout", `the guest gave no sign of life within ${allowanceMs / 1000} s`, {
      evidence: await evidenceOf(files),
    });
  }
  await sleep(2 ** 31 - 1, undefined, { signal });
}

async function timeoutError({ files, url, timeoutMs }: ReadyWatch): Promise<MicroVmError> {
  const reached = (await hasContent(files.ready))
    ? "the guest said it is ready, but HTTP does not answer"
    : (await hasContent(files.console))
      ? "its kernel started, but nothing answered HTTP"
      : "QEMU runs, but the guest's kernel wrote nothing";
  return new MicroVmError("Timeout", `${url} did not answer within ${timeoutMs / 1000} s: ${reached}`, {
    evidence: await evidenceOf(files),
    hint: "Raise readyTimeoutSeconds on a slow host; otherwise the console above shows where the guest stopped.",
  });
}
