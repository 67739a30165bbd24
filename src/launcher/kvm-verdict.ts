/**
 * Whether KVM runs guests on this host, as a boot has shown. Everything short of a boot proves nothing: on some hosts
 * /dev/kvm opens and creates VMs, and the first guest instruction aborts QEMU or is never run.
 */
import { z } from "zod";
import type { Arch } from "./arch.js";
import { cpuModel } from "./cpu.js";
import { hostBootId } from "./process.js";
import { binaryIdentity, type QemuFacts } from "./qemu.js";
import { memory, rememberedMs, type Key } from "./remembered.js";

const observationSchema = z.object({ works: z.boolean(), reason: z.string() });

/** What a boot has shown: whether KVM ran the guest, and in words how that was seen. */
export type KvmObservation = z.infer<typeof observationSchema>;

export interface KvmVerdict extends KvmObservation {
  /** When it was seen. */
  at: Date;
  /** From when on it counts no more. */
  expires: Date;
}

const verdicts = memory("accelerator", observationSchema);

/** The folder of the verdicts: without it KVM is tried again at once. */
export const verdictFolder = verdicts.folder;

type Subject = Pick<QemuFacts, "binary">;

/** What KVM did for such guests under this QEMU, if that is known of the time since the host's boot `bootId`, by default this one. */
export async function recallKvm(qemu: Subject, arch: Arch, bootId?: string): Promise<KvmVerdict | undefined> {
  const found = await verdicts.recall(keyOf(qemu, arch, bootId));
  return found && { ...found.value, at: found.at, expires: new Date(found.at.getTime() + rememberedMs) };
}

/** Notes down what a boot has shown, for the launches to come. Never fails. */
export async function rememberKvm(
  qemu: Subject,
  arch: Arch,
  { works, reason }: KvmObservation,
): Promise<void> {
  await verdicts.remember(keyOf(qemu, arch), { works, reason });
}

async function keyOf({ binary }: Subject, arch: Arch, bootId?: string): Promise<Key> {
  // A host that was booted anew may have another kernel, other modules, other firmware settings.
  const boot = bootId ?? (await hostBootId());
  return [...(await binaryIdentity(binary)), boot, arch, cpuModel("kvm", arch)];
}
