/** Starts QEMU so that it outlives us: a session of its own, files for its output, a shell above it for its status. */
import { existsSync } from "node:fs";
import { lstat, mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ResultPromise } from "execa";
import { SSH_PORT } from "../../appliance/contract.js";
import { MicroVmError, systemErrorCode } from "../../errors.js";
import { connectQmp, type QmpConnection } from "../../qmp/index.js";
import { evidenceOf, readEnding } from "../evidence/ending.js";
import { qemuEnvironment } from "../host/environment.js";
import { keeper, logTime } from "./keeper.js";
import { portInUse } from "../ports/ports.js";
import { levelsReached, wordlessHint } from "./ready.js";
import { findVmProcess, type VmProcess } from "../host/process.js";
import type { GenerationFiles } from "../record/vm-folder.js";

export interface SpawnOptions {
  argv: readonly [string, ...string[]];
  files: GenerationFiles;
  uuid: string;
  qmpSocket: string;
  controlSocket: string;
  /** By when its monitor must answer, by `performance.now()`; it takes QEMU 20 to 70 ms. */
  deadline: number;
  signal?: AbortSignal | undefined;
}

/** A QEMU that came up, and the way to its monitor, which serves nobody else until it is closed. */
export interface Spawned {
  vm: VmProcess;
  monitor: QmpConnection;
}

/**
 * Returns QEMU's process once its monitor answers. Throws PortInUse, QemuExited, QemuSpawn or Timeout when it does not come up;
 * Cancelled when it is called off and takes long. Nothing of it is left then.
 */
export async function spawnQemu(options: SpawnOptions): Promise<Spawned> {
  const { argv, files, qmpSocket, signal } = options;
  signal?.throwIfAborted();
  for (const folder of new Set([files.dir, dirname(qmpSocket)])) await privateFolder(folder);
  await writeFile(files.argv, `${JSON.stringify(argv, null, 2)}\n`, { mode: 0o600 }).catch(
    (cause: unknown) => {
      throw new MicroVmError("Io", `cannot write ${files.argv}: ${(cause as Error).message}`, { cause });
    },
  );
  const { exitStatus, stderr, console, ready, stderrPipe, consolePipe, readyPipe, pidFile } = files;
  const kept = [exitStatus, stderr, console, ready, stderrPipe, consolePipe, readyPipe, pidFile, logTime()];
  // Loaded when a VM is started: most of what the provider is asked for starts none, and this is half of its own loading.
  const { execa } = await import("execa");
  const shell = execa("/bin/sh", ["-c", keeper, ...kept, ...argv], {
    detached: true,
    cleanup: false,
    reject: false,
    stdio: "ignore",
    cwd: "/",
    ...qemuEnvironment(),
  });
  shell.unref();
  // Without a pid not even the shell could be started.
  if (shell.pid === undefined)
    throw new MicroVmError("QemuSpawn", (await shell).shortMessage ?? "no process starts");
  try {
    return await waitForMonitor(options, shell);
  } catch (error) {
    endSession(shell);
    throw error;
  }
}

/** The shell leads a session of its own, so that nothing outlives a start that failed: neither it nor what it runs in QEMU's place. */
function endSession({
  pid,
  exitCode,
  signalCode,
}: Pick<ResultPromise, "pid" | "exitCode" | "signalCode">): void {
  // Once it has ended its number may be another's.
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (systemErrorCode(error) !== "ESRCH") throw error;
  }
}

/** How long a start that was called off may still take, in milliseconds: QEMU is best ended when it is known. */
const afterAbortMs = 2000;

/** Makes a folder for this user alone. In a shared place somebody else may have made it first, and would own what is in it. */
async function privateFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const { uid, mode } = await lstat(path);
    if (uid !== process.getuid?.() || (mode & 0o077) !== 0) throw new Error("it is open to other users");
  } catch (cause) {
    throw new MicroVmError("Io", `cannot use the folder ${path}: ${(cause as Error).message}`, { cause });
  }
}

async function waitForMonitor(
  { files, uuid, controlSocket, deadline, signal }: SpawnOptions,
  shell: Pick<ResultPromise, "exitCode" | "signalCode">,
): Promise<Spawned> {
  let abortedAt: number | undefined;
  for (;;) {
    if (signal?.aborted) abortedAt ??= performance.now();
    if (abortedAt !== undefined && performance.now() - abortedAt >= afterAbortMs) {
      throw new MicroVmError("Cancelled", "the launch was cancelled", { cause: signal?.reason });
    }
    // Not by the exit status in its file, which the shell cannot write to a full disk.
    if (shell.exitCode !== null || shell.signalCode !== null) throw await startFailure(files);
    const monitor = await monitorAt(controlSocket);
    const vm = monitor && (await findVmProcess({ uuid }, files.pidFile));
    if (vm !== undefined) return { vm, monitor: monitor! };
    await monitor?.close();
    if (performance.now() >= deadline) {
      const runs = (await findVmProcess({ uuid }, files.pidFile)) !== undefined;
      const what = `QEMU's monitor did not answer in time: ${levelsReached(runs ? ["process"] : [])}`;
      throw new MicroVmError("Timeout", what, {
        evidence: await evidenceOf(files),
        hint: "Raise readyTimeoutSeconds; the host may be overloaded.",
      });
    }
    await sleep(10);
  }
}

/** Why a QEMU that is gone did not come up, in its own words. */
export async function startFailure(files: GenerationFiles): Promise<MicroVmError> {
  const [ending, evidence] = [await readEnding(files), await evidenceOf(files)];
  const taken = /Could not set up host forwarding rule 'tcp:([\d.]+):(\d+)-[^:]+:(\d+)'/.exec(evidence);
  if (taken)
    return portInUse(Number(taken[2]), Number(taken[3]) === SSH_PORT ? "sshPort" : "apiPort", taken[1]);
  // A denied system call kills QEMU without a word.
  const sandbox = ending.detail.includes("SIGSYS") ? " by its own sandbox (-sandbox)" : "";
  return new MicroVmError("QemuExited", `${ending.detail}${sandbox} while starting`, {
    evidence,
    hint:
      ending.how === "reset"
        ? wordlessHint
        : "QEMU's own words above say what it did not like; extraArgs and qemuBinary are the usual suspects.",
  });
}

/** A monitor's file is there before QEMU listens, and stays when QEMU dies. A connect without it would fail at some cost. */
async function monitorAt(socket: string): Promise<QmpConnection | undefined> {
  if (!existsSync(socket)) return undefined;
  return await connectQmp(socket, { timeoutMs: 1000 }).catch(() => undefined);
}
