/** Which saved state fits a VM: one of a VM that is the same in all but what is its own (id, ports, nonce, sockets, files). */
import { createHash } from "node:crypto";
import type { Accelerator } from "../host/cpu.js";
import { contentFingerprint } from "../plan/fingerprint.js";
import { planQemu } from "../plan/plan.js";
import type { Preparation } from "../plan/prepare.js";
import type { VmSpec } from "../spec.js";
import { hostTscKhz } from "../host/tsc.js";
import { generationFiles } from "../record/vm-folder.js";
import { stampOf } from "../host/stamp.js";

/** Part of every key: raise it when a VM is saved or goes on in another way. */
const FORMAT = 1;

export interface WarmKey {
  /** 64 hexadecimal digits. */
  key: string;
  /** The stamp of each file that the state is of, by its path: one with another stamp has no more use for it. */
  sources: Record<string, string>;
}

/** Throws Io where the RVF or QEMU cannot be read. */
export async function warmKey(
  spec: VmSpec,
  { kernel, qemu }: Preparation,
  accelerator: Accelerator,
): Promise<WarmKey> {
  const sources = { [qemu.binary]: await stampOf(qemu.binary), [spec.rvfPath]: await stampOf(spec.rvfPath) };
  const files = generationFiles("saved", 1);
  const { argv } = planQemu({
    spec: { ...spec, rvfPath: "", bindAddress: "127.0.0.1", apiPort: 0, sshPort: undefined },
    ...{ kernel, qemu, accelerator, tscKhz: hostTscKhz(), files },
    ...{ vmId: "saved", uuid: "", nonce: "", qmpSocket: "", controlSocket: "", guestSocket: "" },
  });
  const made = [
    ...[FORMAT, process.arch, qemu.version, kernel.sha256, await contentFingerprint(spec)],
    // The fingerprint does not read all of the RVF; a file that was written to has another stamp.
    ...Object.values(sources),
    ...argv.map((word) => word.replaceAll(files.dir, "")),
  ];
  return { key: createHash("sha256").update(JSON.stringify(made)).digest("hex"), sources };
}
