/** The durable record of each VM: written before anything is started, so that a VM can always be found again. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { MicroVmError, systemErrorCode } from "../errors.js";
import { shortSocketDir, vmsDir } from "../paths.js";
import { accelerators } from "./cpu.js";
import type { VmSpec } from "./spec.js";

/** Which Pulumi resource a VM belongs to; the command's VMs have none. */
const ownerSchema = z.object({ project: z.string(), stack: z.string(), resource: z.string() });

/** One run of QEMU. Written in full before the spawn but for what only the running VM can tell. */
const generationSchema = z.object({
  number: z.int().positive(),
  /** QEMU's -uuid: random, on its command line, and thereby proof that a process is this VM and no other. */
  uuid: z.uuid(),
  nonce: z.string(),
  /** The boot of the host in which QEMU was started; absent where format 1 did not know it. */
  hostBootId: z.string().optional(),
  /** QEMU's monitor for users, and one for the launcher alone: a monitor serves one client at a time. */
  qmpSocket: z.string(),
  controlSocket: z.string(),
  qemuVersion: z.string(),
  /** Of the files behind the spec's paths when it booted. */
  contentFingerprint: z.string(),
  kernelSha256: z.string(),
  kernelIntegrity: z.string(),
  accelerator: z.enum(accelerators),
  acceleratorReason: z.string(),
  startedAt: z.iso.datetime(),
  /** Where the guest serves, behind the forwarded port; absent where format 1 did not know it. */
  guestApiPort: z.int().optional(),
  /** QEMU's process, with its start time (process.ts); known once it runs. Before that the ports are a former generation's. */
  pid: z.int().optional(),
  startTicks: z.string().optional(),
  boundApiPort: z.int().optional(),
  boundSshPort: z.int().optional(),
  /** From QEMU's spawn to the first HTTP answer; known once ready. */
  bootMillis: z.int().optional(),
});

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

const recordSchema = z.object({
  format: z.literal(2),
  vmId: z.string(),
  name: z.string(),
  owner: ownerSchema.nullable(),
  createdAt: z.iso.datetime(),
  /** creating: a launch is under way or was interrupted (lock.ts tells which); ready: it answered; stopping: on its way down. */
  phase: z.enum(["creating", "ready", "stopping"]),
  /** As it was checked when it was written: rules that came later must not make a running VM unreadable. */
  spec: z.custom<VmSpec>(isObject),
  generation: generationSchema.optional(),
});

/** Records of pulumi-microvm 0.1 before its first release: one monitor, and QEMU known by its uuid alone. */
const formerRecordSchema = z.preprocess((value) => {
  const record = z
    .looseObject({ format: z.literal(1), generation: z.looseObject({}).optional() })
    .safeParse(value);
  if (!record.success) return value;
  const { generation } = record.data;
  return {
    ...record.data,
    format: 2,
    ...(generation && { generation: { ...generation, controlSocket: generation["qmpSocket"] } }),
  };
}, recordSchema);

export type Owner = z.infer<typeof ownerSchema>;
export type Generation = z.infer<typeof generationSchema>;
export type VmRecord = z.infer<typeof recordSchema>;

/** Ids become folder names, and folders are removed: nothing else than an id may come here. */
export const isVmId = (text: string): boolean => /^[a-z0-9][a-z0-9-]*$/.test(text);

export function vmDir(vmId: string): string {
  if (!isVmId(vmId))
    throw new MicroVmError("InvalidArgument", `${JSON.stringify(vmId)} is not the id of a VM`);
  return join(vmsDir(), vmId);
}

const recordPath = (vmId: string): string => join(vmDir(vmId), "record.json");

/** The files of one generation. */
export function generationFiles(vmId: string, number: number) {
  const dir = join(vmDir(vmId), String(number));
  return {
    dir,
    pidFile: join(dir, "qemu.pid"),
    console: join(dir, "console.log"),
    consolePipe: join(dir, "console.pipe"),
    stderr: join(dir, "qemu.stderr"),
    exitStatus: join(dir, "exit-status"),
    ready: join(dir, "ready"),
    argv: join(dir, "argv.json"),
  };
}

export type GenerationFiles = ReturnType<typeof generationFiles>;

/** The longest path a unix socket can be bound to (sun_path, 108 with its NUL; 104 on macOS). */
const maxSocketPath = process.platform === "darwin" ? 103 : 107;

/**
 * In the generation's folder when their paths fit, else in a short private folder. Throws Io where neither does: Node would
 * silently cut a path and connect to another.
 */
export function socketPaths(vmId: string, number: number): Pick<Generation, "qmpSocket" | "controlSocket"> {
  const near = generationFiles(vmId, number).dir;
  const inFolder = (dir: string, prefix = "") => ({
    qmpSocket: join(dir, `${prefix}qmp.sock`),
    controlSocket: join(dir, `${prefix}ctl.sock`),
  });
  const short = inFolder(shortSocketDir(vmId), `${number}.`);
  const fitting = [inFolder(near), short].find((one) => Buffer.byteLength(one.qmpSocket) <= maxSocketPath);
  if (fitting !== undefined) return fitting;
  throw new MicroVmError(
    "Io",
    `the path of a socket has at most ${maxSocketPath} bytes, too few for ${short.qmpSocket}`,
    {
      hint: "Set TMPDIR to a folder with a shorter path.",
    },
  );
}

/** Makes the VM's folder, for this user alone. Throws Io. */
export async function makeVmDir(vmId: string): Promise<void> {
  try {
    await mkdir(vmDir(vmId), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw cannotWrite(vmId, cause);
  }
}

const cannotWrite = (vmId: string, cause: unknown): MicroVmError =>
  new MicroVmError("Io", `cannot write the record of ${vmId}: ${(cause as Error).message}`, {
    hint: `Check that ${vmsDir()} can be written and its disk is not full, or set MICROVM_STATE_DIR.`,
    cause,
  });

/** Writes the record durably (temporary file, fsync, rename). */
export async function writeRecord(record: VmRecord): Promise<void> {
  await makeVmDir(record.vmId);
  try {
    await writeFileAtomic(recordPath(record.vmId), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  } catch (cause) {
    throw cannotWrite(record.vmId, cause);
  }
}

/** The record, or undefined when there is none. Throws Io when there is one that cannot be understood. */
export async function readRecord(vmId: string): Promise<VmRecord | undefined> {
  let text: string;
  try {
    text = await readFile(recordPath(vmId), "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemErrorCode(error) ?? "")) return undefined;
    throw new MicroVmError("Io", `cannot read the record of ${vmId}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  try {
    return formerRecordSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new MicroVmError(
      "Io",
      `the record of ${vmId} is not one this version understands: ${recordPath(vmId)}`,
      {
        hint: `It was written by a newer version or damaged. \`microvm kill ${vmId}\` ends its QEMU and removes its files.`,
        cause,
      },
    );
  }
}

/** Every record on this host that can be read, oldest first; `onUnreadable` gets the error of each that cannot. */
export async function listRecords(onUnreadable?: (error: unknown) => void): Promise<VmRecord[]> {
  const names = await readdir(vmsDir()).catch((error: unknown) => {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw new MicroVmError("Io", `cannot list the VMs: ${(error as Error).message}`, { cause: error });
  });
  const read = async (vmId: string) =>
    await readRecord(vmId).catch((error: unknown) => onUnreadable?.(error));
  const records = await Promise.all(names.filter(isVmId).map(read));
  return records.filter((r) => r !== undefined).sort((a, b) => a.createdAt.localeCompare(b.createdAt));
}

/** Finds a VM by its id, else by its name. Throws VmNotFound, also where a name stands for several; Io as readRecord. */
export async function findRecord(idOrName: string): Promise<VmRecord> {
  const records = await listRecords();
  const exact = records.find((r) => r.vmId === idOrName);
  if (exact) return exact;
  const named = records.filter((r) => r.name === idOrName);
  // One that the list passed over, because it cannot be understood, says so itself.
  if (named.length === 0 && isVmId(idOrName)) await readRecord(idOrName);
  if (named.length === 1) return named[0]!;
  throw named.length > 1
    ? new MicroVmError("VmNotFound", `${named.length} VMs are named ${idOrName}`, {
        hint: `Name one by its id: ${named.map((r) => r.vmId).join(", ")}`,
      })
    : new MicroVmError("VmNotFound", `there is no VM ${idOrName} on this host`, {
        hint: "`microvm ls` lists those there are.",
      });
}

/** Removes every file of the VM. Throws Io where it cannot. */
export async function removeRecord({ vmId, generation }: VmRecord): Promise<void> {
  // Sockets may lie in another temporary folder than today's, which is the environment's to say.
  const sockets = generation && dirname(generation.qmpSocket);
  if (sockets && basename(sockets) === basename(shortSocketDir(vmId)))
    await rm(sockets, { recursive: true, force: true });
  await removeVmDir(vmId);
}

/**
 * Removes what former generations and interrupted writers left beside the record and what it names. The caller holds the VM's lock.
 * What cannot be removed is left to the next relaunch.
 */
export async function removeStale({ vmId, generation }: VmRecord): Promise<void> {
  const number = String(generation?.number);
  const removeFrom = async (folder: string, isNamed: (name: string) => boolean) => {
    for (const name of await readdir(folder).catch(() => []))
      // The shell above QEMU may be writing its last line.
      if (!isNamed(name)) await rm(join(folder, name), removal).catch(() => {});
  };
  await removeFrom(vmDir(vmId), (name) => /^(record\.json|lock\.\d+)$/.test(name) || name === number);
  await removeFrom(shortSocketDir(vmId), (name) => name.startsWith(`${number}.`));
}

const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 20 };

/** Where folders go whose removal has begun: no VM's id starts with a dot. */
export const removedPrefix = ".removed-";

/** In one step for everybody else: half a folder is never seen under the VM's id, and a lock in it goes with it. */
export async function removeVmDir(vmId: string): Promise<void> {
  const dir = vmDir(vmId);
  const doomed = join(vmsDir(), `${removedPrefix}${vmId}-${randomBytes(4).toString("hex")}`);
  try {
    await rename(dir, doomed);
    // The shell above QEMU may be writing its last line into the folder.
    await rm(doomed, removal);
  } catch (cause) {
    if (systemErrorCode(cause) === "ENOENT") return;
    throw new MicroVmError("Io", `cannot remove the files of ${vmId}: ${(cause as Error).message}`, {
      hint: `Check that ${vmsDir()} can be written, then \`microvm prune\`.`,
      cause,
    });
  }
}
