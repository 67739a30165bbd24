/** Where a VM's files lie: its folder, and in it one for each generation. */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { MicroVmError, systemErrorCode } from "../../errors.js";
import { shortSocketDir, vmsDir } from "../../paths.js";
import { MAX_SOCKET_PATH_BYTES } from "../../qmp/index.js";

/** Ids become folder names, and folders are removed: nothing else than an id may come here. */
export const isVmId = (text: string): boolean => /^[a-z0-9][a-z0-9-]*$/.test(text);

export function vmDir(vmId: string): string {
  if (!isVmId(vmId))
    throw new MicroVmError("InvalidArgument", `${JSON.stringify(vmId)} is not the id of a VM`);
  return join(vmsDir(), vmId);
}

export const recordPath = (vmId: string): string => join(vmDir(vmId), "record.json");

/** Makes the VM's folder, for this user alone. Throws Io. */
export function makeVmDir(vmId: string): void {
  try {
    mkdirSync(vmDir(vmId), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw cannotWrite(vmId, cause);
  }
}

export const cannotWrite = (vmId: string, cause: unknown): MicroVmError =>
  new MicroVmError("Io", `cannot write the record of ${vmId}: ${(cause as Error).message}`, {
    hint: `Check that ${vmsDir()} can be written and its disk is not full, or set MICROVM_STATE_DIR.`,
    cause,
  });

/** The files of one generation. */
export function generationFiles(vmId: string, number: number) {
  const dir = join(vmDir(vmId), String(number));
  return {
    dir,
    pidFile: join(dir, "qemu.pid"),
    console: join(dir, "console.log"),
    consolePipe: join(dir, "console.pipe"),
    stderr: join(dir, "qemu.stderr"),
    stderrPipe: join(dir, "stderr.pipe"),
    exitStatus: join(dir, "exit-status"),
    ready: join(dir, "ready"),
    readyPipe: join(dir, "ready.pipe"),
    argv: join(dir, "argv.json"),
  };
}

export type GenerationFiles = ReturnType<typeof generationFiles>;

export type SocketPaths = {
  /** QEMU's monitor for users, and one for the launcher alone: a monitor serves one client at a time. */
  qmpSocket: string;
  controlSocket: string;
  /** Leads to the guest's control port (guest-control.ts). */
  guestSocket: string;
};

/**
 * In the generation's folder when their paths fit, else in a short private folder. Throws Io where neither does: Node would
 * silently cut a path and connect to another.
 */
export function socketPaths(vmId: string, number: number): SocketPaths {
  const near = generationFiles(vmId, number).dir;
  const inFolder = (dir: string, prefix = "") => ({
    qmpSocket: join(dir, `${prefix}qmp.sock`),
    controlSocket: join(dir, `${prefix}ctl.sock`),
    guestSocket: join(dir, `${prefix}guest.sock`),
  });
  const short = inFolder(shortSocketDir(vmId), `${number}.`);
  const fitting = [inFolder(near), short].find((one) =>
    Object.values(one).every((path) => Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES),
  );
  if (fitting !== undefined) return fitting;
  throw new MicroVmError(
    "Io",
    `the path of a socket has at most ${MAX_SOCKET_PATH_BYTES} bytes, too few for ${short.guestSocket}`,
    {
      hint: "Set TMPDIR to a folder with a shorter path.",
    },
  );
}

/** The shell above QEMU may be writing its last line into the folder. */
export const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 20 };

/** Where folders go whose removal has begun: no VM's id starts with a dot. */
export const removedPrefix = ".removed-";

/** Finishes what others had begun to remove, and died at: nobody needs anything of it, and two may do so at once. */
export async function finishRemovals(): Promise<void> {
  const names = await readdir(vmsDir()).catch(() => []);
  for (const name of names.filter((name) => name.startsWith(removedPrefix)))
    await rm(join(vmsDir(), name), removal).catch(() => {});
}

/**
 * In one step for everybody else: half a folder is never seen under the VM's id, and a lock in it goes with it. Returns whether there
 * was one.
 */
export async function removeVmDir(vmId: string): Promise<boolean> {
  const dir = vmDir(vmId);
  const doomed = join(vmsDir(), `${removedPrefix}${vmId}-${randomBytes(4).toString("hex")}`);
  await finishRemovals();
  try {
    await rename(dir, doomed);
    await rm(doomed, removal);
    return true;
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return false;
    throw new MicroVmError("Io", `cannot remove the files of ${vmId}: ${(cause as Error).message}`, {
      hint: `Check that ${vmsDir()} can be written, then \`microvm prune\`.`,
      cause,
    });
  }
}
