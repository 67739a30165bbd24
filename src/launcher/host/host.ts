/** The hosts that VMs can be launched on. */
import { MicroVmError } from "../../errors.js";

export type Host = Pick<NodeJS.Process, "platform" | "arch">;

/** Throws HostUnsupported anywhere but on Linux on x86-64. */
export function assertHost({ platform, arch }: Host = process): void {
  if (platform === "linux" && arch === "x64") return;
  throw new MicroVmError("HostUnsupported", `VMs run on Linux on x86-64 only, this is ${platform} ${arch}`);
}
