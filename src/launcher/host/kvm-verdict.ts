/**
 * Whether KVM runs guests on this host, as a boot has shown. Everything short of a boot proves nothing: on some hosts
 * /dev/kvm opens and creates VMs, and the first guest instruction aborts QEMU or is never run.
 */
import { z } from "zod";
import type { Arch } from "./arch.js";
import { hostBootId } from "./process.js";
import type { QemuFacts } from "./qemu.js";
import { memory, memoryFolder, rememberedMs } from "./remembered.js";

const observationSchema = z.object({
  works: z.boolean(),
  reason: z.string(),
  /** It failed by silence alone, and was not seen to before: a busy host can keep a guest still for as long. */
  doubtful: z.literal(true).optional(),
});

/** What a boot has shown: whether KVM ran the guest, and in words how that was seen. */
export type KvmObservation = z.infer<typeof observationSchema>;

export interface KvmVerdict extends Pick<KvmObservation, "works" | "reason"> {
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
 * How long a doubtful failure counts, in milliseconds: longer than a launch that was under way beside it, whose guest was still for the
 * same cause.
 */
const doubtMs = 10 * 60 * 1000;

type Binary = Pick<QemuFacts, "binary">;

const recall = async ({ binary }: Binary, arch: Arch) => await verdicts.recall(binary, arch, hostBootId());

const expiryOf = ({ value, at }: { value: KvmObservation; at: Date }): Date =>
  new Date(at.getTime() + (value.doubtful ? doubtMs : rememberedMs));

/**
 * What KVM did for such guests under this QEMU, if that is known of this boot of the host: after the next one it may have
 * another kernel, other modules, other firmware settings.
 */
export async function recallKvm(qemu: Binary, arch: Arch): Promise<KvmVerdict | undefined> {
  const found = await recall(qemu, arch);
  if (found === undefined || expiryOf(found).getTime() <= Date.now()) return undefined;
  const { works, reason } = found.value;
  return { works, reason, at: found.at, expires: expiryOf(found) };
}

/**
 * Notes down what a boot has shown, for the launches to come: a failure of which there is no doubt, or the second in a row, for a day. Never
 * fails.
 */
export async function rememberKvm(qemu: Binary, arch: Arch, observation: KvmObservation): Promise<void> {
  const noted = await noteOf(qemu, arch, observation);
  if (noted) await verdicts.remember(noted, qemu.binary, arch, hostBootId());
}

async function noteOf(qemu: Binary, arch: Arch, seen: KvmObservation): Promise<KvmObservation | undefined> {
  const before = await recall(qemu, arch);
  if (!seen.doubtful || before === undefined || before.value.works) return seen;
  // Nobody has tried since: it is a launch that began before that.
  if (expiryOf(before).getTime() > Date.now()) return undefined;
  const { works, reason } = seen;
  return { works, reason };
}
