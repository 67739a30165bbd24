/** The record of each VM: written (write.ts) before anything is started, so that a VM can always be found again. */
import { readFile, readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { isMissing, MicroVmError, systemErrorCode } from "../../errors.js";
import { shortSocketDir, vmsDir } from "../../paths.js";
import { accelerators } from "../host/cpu.js";
import { findVmProcess, type VmProcess } from "../host/process.js";
import type { VmSpec } from "../spec.js";
import { generationFiles, isVmId, recordPath, removal, removeVmDir, vmDir } from "./vm-folder.js";

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
  /** Leads to the guest's control port; absent in records of before there was one. */
  guestSocket: z.string().optional(),
  qemuVersion: z.string(),
  /** Of the files behind the spec's paths when it booted; earlier versions took another (fingerprint.ts). */
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
  /** Whether it went on from a saved state instead of booting. */
  warm: z.literal(true).optional(),
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
  /** While it is creating: why its launch failed, where the VM was kept all the same (unready.ts). */
  failure: z.string().optional(),
  /** Where a create for the owner was asked for, as long as no stack's state is known to hold the VM (claim.ts); absent once one is. */
  unclaimed: z.string().optional(),
  /** As it was checked when it was written: rules that came later must not make a running VM unreadable. */
  spec: z.custom<VmSpec>(isObject),
  /** The one that serves, as the spec says; its bound ports are the VM's. */
  generation: generationSchema.optional(),
  /** One that boots beside it to take its place: nothing depends on it yet. */
  next: generationSchema.optional(),
  /** One whose place it took, which only finishes what is in flight. */
  former: generationSchema.optional(),
});

/** The format of what may be a record. */
const formatOf = (value: unknown): unknown => (value as { format?: unknown } | null)?.format;

/** What a record of pulumi-microvm 0.1 before its first release would be today: it had one monitor, and QEMU was known by its uuid alone. */
function current(value: unknown): unknown {
  if (formatOf(value) !== 1) return value;
  const { generation, ...record } = value as { generation?: { qmpSocket?: unknown } };
  return {
    ...record,
    format: 2,
    ...(generation && { generation: { ...generation, controlSocket: generation.qmpSocket } }),
  };
}

export type Owner = z.infer<typeof ownerSchema>;
export type Generation = z.infer<typeof generationSchema>;
export type VmRecord = z.infer<typeof recordSchema>;

/** One that was started. */
export type StartedVm = VmRecord & { generation: Generation };

/** Every run of QEMU that may be there. */
export const generationsOf = ({ generation, next, former }: VmRecord): Generation[] =>
  [generation, next, former].filter((one) => one !== undefined);

/** The QEMU of that run, if it is there. */
export const processOf = async (
  vmId: string,
  generation: Generation | undefined,
): Promise<VmProcess | undefined> =>
  generation && (await findVmProcess(generation, generationFiles(vmId, generation.number).pidFile));

/** Why a record is of no use to anybody: the cause of readRecord's error, but where it could not be read or is a newer version's. */
export class Worthless extends Error {}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The record, or undefined when there is none. Throws Io when there is one that cannot be understood, or is another VM's. */
export async function readRecord(vmId: string): Promise<VmRecord | undefined> {
  let text: string;
  try {
    text = await readFile(recordPath(vmId), "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw new MicroVmError("Io", `cannot read the record of ${vmId}: ${(error as Error).message}`, {
      hint: `Check that ${recordPath(vmId)} can be read.`,
      cause: error,
    });
  }
  const value = parsedJson(text);
  const { data: record, error } = recordSchema.safeParse(current(value));
  const kill = `\`microvm kill ${vmId}\``;
  const format = formatOf(value);
  if (Number.isInteger(format) && (format as number) > 2)
    throw new MicroVmError(
      "Io",
      `the record of ${vmId} was written by a newer version: ${recordPath(vmId)}`,
      {
        hint: `Use that version of pulumi-microvm. ${kill} ends its QEMU and removes its files.`,
        cause: error,
      },
    );
  if (record === undefined)
    throw new MicroVmError("Io", `the record of ${vmId} is damaged: ${recordPath(vmId)}`, {
      hint: `${kill} ends its QEMU and removes its files.`,
      cause: new Worthless("it is no record", { cause: error }),
    });
  // Whoever copied a VM's folder must not stop that VM by removing the copy.
  if (record.vmId !== vmId)
    throw new MicroVmError("Io", `the record of ${vmId} is a copy of that of ${record.vmId}`, {
      hint: `${kill} removes ${vmDir(vmId)} and leaves ${record.vmId} alone.`,
      cause: new Worthless("it is another VM's"),
    });
  return record;
}

/** Every record on this host that can be read, oldest first; `onUnreadable` gets the error of each that cannot. */
export async function listRecords(onUnreadable?: (error: unknown) => void): Promise<VmRecord[]> {
  const names = await readdir(vmsDir()).catch((error: unknown) => {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw new MicroVmError("Io", `cannot list the VMs: ${(error as Error).message}`, { cause: error });
  });
  const records: VmRecord[] = [];
  // One after the other: of all at once some would find no file descriptor left.
  for (const vmId of names.filter(isVmId)) {
    const record = await readRecord(vmId).catch((error: unknown) => onUnreadable?.(error));
    if (record) records.push(record);
  }
  return records.sort((a, b) => a.createdAt.localeCompare(b.createdAt));
}

/** Finds a VM by its id, else by its name. Throws VmNotFound; VmAmbiguous where several have the name; Io as readRecord. */
export async function findRecord(idOrName: string): Promise<VmRecord> {
  const exact = isVmId(idOrName) ? await readRecord(idOrName) : undefined;
  if (exact) return exact;
  const named = (await listRecords()).filter((r) => r.name === idOrName);
  if (named.length === 1) return named[0]!;
  throw named.length > 1
    ? new MicroVmError("VmAmbiguous", `${named.length} VMs are named ${idOrName}`, {
        hint: `Name one by its id: ${named.map((r) => r.vmId).join(", ")}`,
      })
    : new MicroVmError("VmNotFound", `there is no VM ${idOrName} on this host`, {
        hint: `\`microvm ls\` lists those there are, in ${vmsDir()}.`,
      });
}

/** Removes every file of the VM, and returns whether it had a folder. Throws Io where it cannot. */
export async function removeRecord(record: VmRecord): Promise<boolean> {
  const { vmId } = record;
  // Sockets may lie in another temporary folder than today's, which is the environment's to say.
  for (const sockets of generationsOf(record).map(({ qmpSocket }) => dirname(qmpSocket))) {
    if (basename(sockets) === basename(shortSocketDir(vmId)))
      await rm(sockets, { recursive: true, force: true });
  }
  return await removeVmDir(vmId);
}

/**
 * Removes what generations that are over and interrupted writers left beside the record and what it names. The caller holds the VM's lock.
 * What cannot be removed is left to the next relaunch.
 */
export async function removeStale(record: VmRecord): Promise<void> {
  const { vmId } = record;
  const numbers = generationsOf(record).map(({ number }) => String(number));
  const removeFrom = async (folder: string, isNamed: (name: string) => boolean) => {
    for (const name of await readdir(folder).catch(() => []))
      if (!isNamed(name)) await rm(join(folder, name), removal).catch(() => {});
  };
  await removeFrom(
    vmDir(vmId),
    (name) => /^(record\.json|lock\.\d+(\.off)?)$/.test(name) || numbers.includes(name),
  );
  await removeFrom(shortSocketDir(vmId), (name) => numbers.includes(name.split(".")[0]!));
}
