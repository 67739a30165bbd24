/** The durable record of each VM: written before anything is started, so that a VM can always be found again. */
import { mkdir, readFile, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { MicroVmError, systemErrorCode } from "../errors.js";
import { shortSocketDir, vmsDir } from "../paths.js";
import type { ProcessIdentity } from "./process.js";
import type { VmSpec } from "./spec.js";

/** Which Pulumi resource a VM belongs to; the command's VMs have none. */
const ownerSchema = z.object({ project: z.string(), stack: z.string(), resource: z.string() });

/** One run of QEMU. Written in full before the spawn but for what only the running VM can tell. */
const generationSchema = z.object({
  number: z.int().positive(),
  /** QEMU's -uuid: random, on its command line, and thereby proof that a process is this VM and no other. */
  uuid: z.uuid(),
  nonce: z.string(),
  qmpSocket: z.string(),
  qemuVersion: z.string(),
  /** Of the files behind the spec's paths when it booted. */
  contentFingerprint: z.string(),
  kernelSha256: z.string(),
  kernelIntegrity: z.string(),
  accelerator: z.enum(["kvm", "tcg"]),
  acceleratorReason: z.string(),
  startedAt: z.iso.datetime(),
  /** Known once QEMU runs; before that the ports are a former generation's. */
  pid: z.int().optional(),
  boundApiPort: z.int().optional(),
  boundSshPort: z.int().optional(),
  /** From QEMU's spawn to the first HTTP answer; known once ready. */
  bootMillis: z.int().optional(),
});

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

const recordSchema = z.object({
  format: z.literal(1),
  vmId: z.string(),
  name: z.string(),
  owner: ownerSchema.nullable(),
  createdAt: z.iso.datetime(),
  /** creating: a launch is under way or was interrupted; ready: it answered; stopping: on its way down. */
  phase: z.enum(["creating", "ready", "stopping"]),
  /** Who launches it, while it is creating: a launch whose process is gone was interrupted. */
  launcher: z.custom<ProcessIdentity>(isObject).optional(),
  /** As it was checked when it was written: rules that came later must not make a running VM unreadable. */
  spec: z.custom<VmSpec>(isObject),
  generation: generationSchema.optional(),
});

export type Owner = z.infer<typeof ownerSchema>;
export type Generation = z.infer<typeof generationSchema>;
export type VmRecord = z.infer<typeof recordSchema>;

/** Ids become folder names, and folders are removed: nothing else than an id may come here. */
const isVmId = (text: string): boolean => /^[a-z0-9][a-z0-9-]*$/.test(text);

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
 * In the generation's folder when the path fits, else in a short private folder. Throws Io where neither does: Node would
 * silently cut the path and connect to another.
 */
export function qmpSocketPath(vmId: string, number: number): string {
  const near = join(generationFiles(vmId, number).dir, "qmp.sock");
  const short = join(shortSocketDir(vmId), `${number}.sock`);
  const path = [near, short].find((one) => Buffer.byteLength(one) <= maxSocketPath);
  if (path !== undefined) return path;
  throw new MicroVmError(
    "Io",
    `the path of a socket has at most ${maxSocketPath} bytes, too few for ${short}`,
    {
      hint: "Set TMPDIR to a folder with a shorter path.",
    },
  );
}

/** Writes the record durably (temporary file, fsync, rename). */
export async function writeRecord(record: VmRecord): Promise<void> {
  try {
    await mkdir(vmDir(record.vmId), { recursive: true, mode: 0o700 });
    await writeFileAtomic(recordPath(record.vmId), `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  } catch (error) {
    throw new MicroVmError("Io", `cannot write the record of ${record.vmId}: ${(error as Error).message}`, {
      hint: `Check that ${vmsDir()} can be written, or set MICROVM_STATE_DIR.`,
      cause: error,
    });
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
    return recordSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new MicroVmError(
      "Io",
      `the record of ${vmId} is not one this version understands: ${recordPath(vmId)}`,
      {
        hint: "It was written by a newer version or damaged. Stop its QEMU by hand, then remove the folder.",
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

/** Removes every file of the VM. */
export async function removeRecord({ vmId, generation }: VmRecord): Promise<void> {
  // Sockets may lie in another temporary folder than today's, which is the environment's to say.
  const sockets = generation && dirname(generation.qmpSocket);
  if (sockets && basename(sockets) === basename(shortSocketDir(vmId)))
    await rm(sockets, { recursive: true, force: true });
  // The shell above QEMU may be writing its last line into the folder.
  await rm(vmDir(vmId), { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
}
