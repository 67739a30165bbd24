/**
 * Whether KVM runs guests on this host, as a boot has shown. Everything short of a boot proves nothing: on some hosts
 * /dev/kvm opens and creates VMs, and the first guest instruction aborts QEMU or is never run.
 */
import { z } from "zod";
import type { Arch } from "./arch.js";
import { hostBootId } from "./process.js";
import type { QemuFacts } from "./qemu.js";
import { memory, memoryFolder, rememberedMs } from "./remembered.js";

const observationSchema = z.object({ works: z.boolean(), reason: z.string() });

/** What a boot has shown: whether KVM ran the guest, and in words how that was seen. */
export type KvmObservation = z.infer<typeof observationSchema>;

export interface KvmVerdict extends KvmObservation {
  /** When it was seen. */
  at: Date;
  /** From when on it counts no more. */
  expires: Date;
}

const kind = "accelerator";
const verdicts = memory(kind, observationSchema);

/** The folder of the verdicts: without it KVM is tried again at once. */
export const verdictFolder = (): string => memoryFolder(kind);

/**
 * What KVM did for such guests under this QEMU, if that is known of this boot of the host: after the next one it may have
 * another kernel, other modules, other firmware settings.
 */
export async function recallKvm(
  { binary }: Pick<QemuFacts, "binary">,
  arch: Arch,
): Promise<KvmVerdict | undefined> {
  const found = await verdicts.recall(binary, arch, hostBootId());
  return found && { ...found.value, at: found.at, expires: new Date(found.at.getTime() + rememberedMs) };
}

/** Notes down what a boot has shown, for the launches to come. Never fails. */
export async function rememberKvm(
  { binary }: Pick<QemuFacts, "binary">,
  arch: Arch,
  { works, reason }: KvmObservation,
): Promise<void> {
  await verdicts.remember({ works, reason }, binary, arch, hostBootId());
}
