/** What runs the guest's instructions, and the CPU that the guest sees. */
import type { Arch } from "./arch.js";

/** In QEMU's spelling: Linux' and macOS' own, which run the guest on the host's CPU, and emulation. */
export const accelerators = ["kvm", "hvf", "tcg"] as const;
export type Accelerator = (typeof accelerators)[number];

/**
 * TCG refuses `host`, and its default CPUs lack what newer binaries use. A CPU with fast string operations (erms, fsrm) has Linux clear and copy its
 * pages by the byte, of which each is a step to TCG: without it eight bytes are one. On aarch64 a boot takes three times as long with
 * the architecture's own pointer authentication, and older kernels do not start where lpa2 is on, which QEMU's own tests
 * turn off too. The riscv64 `max` is younger than QEMU 7.2.
 */
const emulated: Record<Arch, string> = {
  x86_64: "max,-erms,-fsrm",
  aarch64: "max,pauth-impdef=on,lpa2=off",
  riscv64: "rv64",
};

/** The value of QEMU's `-cpu`. */
export function cpuModel(accelerator: Accelerator, arch: Arch): string {
  if (accelerator === "tcg") return emulated[arch];
  // Plain `host` aborts on Linux hosts with SGX.
  return accelerator === "kvm" && arch === "x86_64" ? "host,-sgx" : "host";
}
