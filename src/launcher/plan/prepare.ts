/** Everything a launch needs that can be had without starting anything: kernel, QEMU, accelerators to try. */
import { stat } from "node:fs/promises";
import { DEFAULT_API_PORT, type CurrentAppliance } from "../../appliance/index.js";
import { MicroVmError } from "../../errors.js";
import {
  extractImage,
  extractKernel,
  inspectImage,
  inspectStore,
  readKernel,
  type ImageKind,
  type ImageReport,
  type Kernel,
} from "../../rvf/index.js";
import { acceleratorChoices, type AcceleratorChoice } from "../host/accelerator.js";
import { applianceFor } from "./appliance.js";
import { maxVcpusOf, type Arch } from "../host/arch.js";
import type { Progress } from "../progress.js";
import { kernelCmdline, portIn } from "./cmdline.js";
import { exposuresOf } from "./exposure.js";
import { assertHost } from "../host/host.js";
import type { BootKernel } from "./plan.js";
import { unreadable } from "../host/unreadable.js";
import { assertMachine, qemuFacts, resolveQemu, type QemuFacts } from "../host/qemu.js";
import type { VmSpec } from "../spec.js";

/** What is known of a kernel before it is extracted. */
interface KernelFacts extends Omit<BootKernel, "kernelPath" | "initramfsPath"> {
  /** In words for a person: which hashes were there and what they said. */
  integrity: string;
  requiresKvm: boolean;
}

export interface Preparation {
  kernel: KernelFacts & BootKernel & { sha256: string };
  qemu: QemuFacts;
  /** In the order in which they are to be tried. */
  accelerators: AcceleratorChoice[];
  /** What a user should know, though it stops nothing. */
  warnings: string[];
}

/** Checks everything, without writing anything: what a preview can know. Throws the error of what is missing or unfit. */
export async function examine(spec: VmSpec): Promise<void> {
  if (spec.kernel === undefined && spec.kernelPath === undefined)
    return void (await fitting(
      spec,
      factsOfRvf(spec, await withAlternatives(about("rvfPath", readKernel(spec.rvfPath, spec)))),
    ));
  await about("rvfPath", inspectStore(spec.rvfPath));
  const facts =
    spec.kernelPath === undefined
      ? factsOfAppliance(spec)
      : factsOfFile(spec, (await about("kernelPath", inspectImage(spec.kernelPath))).image);
  await fitting(spec, facts);
}

/** The same, and extracts the kernel into the cache; an appliance that is not there is built. */
export async function prepare(spec: VmSpec, progress: Progress = {}): Promise<Preparation> {
  if (spec.kernel === undefined && spec.kernelPath === undefined) {
    const { verification, trustedKeys } = spec;
    const { kernel, ...files } = await withAlternatives(
      about("rvfPath", extractKernel(spec.rvfPath, { verification, trustedKeys })),
    );
    return await preparation(spec, factsOfRvf(spec, kernel), files, kernel.warnings);
  }
  // With a kernel of its own the RVF still has to be one: it becomes the guest's disk.
  const store = await about("rvfPath", inspectStore(spec.rvfPath));
  if (spec.kernelPath === undefined) {
    // What is wrong besides is better known before the minutes that a build takes.
    await fitting(spec, factsOfAppliance(spec));
    const appliance = await about("kernel", applianceFor(progress));
    const { file, ...files } = await about("kernel", extractImage(appliance.path));
    const warnings = [...store.warnings, ...file.warnings];
    return await preparation(spec, factsOfAppliance(spec, appliance), files, warnings);
  }
  const { file, ...files } = await about("kernelPath", extractImage(spec.kernelPath));
  const warnings = [...store.warnings, ...file.warnings];
  return await preparation(spec, factsOfFile(spec, file.image), files, warnings);
}

type Files = Pick<Preparation["kernel"], "kernelPath" | "initramfsPath" | "sha256">;

async function preparation(
  spec: VmSpec,
  facts: KernelFacts,
  files: Files,
  warnings: string[],
): Promise<Preparation> {
  const kernel = { ...facts, ...files, initramfsPath: spec.initramfsPath ?? files.initramfsPath };
  return { kernel, warnings: [...warnings, ...exposuresOf(spec)], ...(await fitting(spec, facts)) };
}

/** What this host has for such a kernel. */
async function fitting(
  spec: VmSpec,
  facts: KernelFacts,
): Promise<Pick<Preparation, "qemu" | "accelerators">> {
  assertHost();
  assertVcpus(spec, facts.arch);
  if (spec.initramfsPath !== undefined) {
    assertLenient(spec, "initramfsPath");
    await assertFile(spec.initramfsPath, "initramfsPath");
  }
  // Longest first: nonce and clock rate are known at the launch only, their lengths are not.
  kernelCmdline({
    arch: facts.arch,
    own: facts.cmdline,
    guestApiPort: facts.guestApiPort,
    nonce: "0".repeat(32),
    accelerator: "tcg",
    vcpus: spec.vcpus,
    tscKhz: 99_999_999,
  });
  const qemu = await qemuFacts(await resolveQemu(facts.arch, spec.qemuBinary));
  await assertMachine(qemu, facts.arch);
  const accelerators = await acceleratorChoices({ ...facts, enableKvm: spec.enableKvm, qemu });
  return { qemu, accelerators };
}

function factsOfRvf(spec: VmSpec, { header, image, arch, cmdline, integrity }: Kernel): KernelFacts {
  const { minMemoryMb, apiPort, flags } = header;
  if (spec.memoryMb < minMemoryMb) {
    const asked = `the kernel asks for ${minMemoryMb} MiB, memoryMb is ${spec.memoryMb}`;
    const hint = `Set memoryMb to ${minMemoryMb} or more.`;
    throw new MicroVmError("MemoryTooSmall", asked, { hint, property: "memoryMb" });
  }
  const bootable = bootableArch({ kind: image.kind, arch }, "rvfPath");
  const guestApiPort = portIn(cmdline) ?? (apiPort || DEFAULT_API_PORT);
  return { arch: bootable, cmdline, integrity, requiresKvm: flags.includes("REQUIRES_KVM"), guestApiPort };
}

function factsOfFile(spec: VmSpec, image: ImageReport): KernelFacts {
  assertLenient(spec, "kernelPath");
  return {
    arch: bootableArch(image, "kernelPath"),
    cmdline: "",
    integrity: "a file of the user's own (kernelPath), not checked",
    requiresKvm: false,
    guestApiPort: DEFAULT_API_PORT,
  };
}

function factsOfAppliance(spec: VmSpec, appliance?: Pick<CurrentAppliance, "from">): KernelFacts {
  assertLenient(spec, "kernel");
  const where =
    appliance?.from === undefined ? "built on this host" : `from ${appliance.from}, by its SHA-256`;
  return {
    arch: "x86_64",
    cmdline: "",
    integrity: `the appliance, ${where}`,
    requiresKvm: false,
    guestApiPort: DEFAULT_API_PORT,
  };
}

/** A file beside the RVF carries nothing to verify: booting it would belie what `verification` promises. */
function assertLenient({ verification }: VmSpec, property: "kernel" | "kernelPath" | "initramfsPath"): void {
  if (verification === "lenient") return;
  const which = property === "kernel" ? "the appliance" : `a file named by ${property}`;
  const what = `verification is "${verification}", but ${which} carries nothing to verify`;
  const hint = "Embed it into the RVF by `microvm embed`, or leave verification out.";
  throw new MicroVmError("KernelUntrusted", what, { hint, property });
}

/** What QEMU's machine of each architecture starts without firmware of the guest's own. */
const bootable: Record<Arch, readonly ImageKind[]> = {
  x86_64: ["bzImage", "elf-pvh"],
  aarch64: ["arm64-image", "arm64-image-gz"],
  riscv64: ["riscv-image"],
};

/** The architecture of a kernel that can be booted; anything else is refused, never guessed. */
function bootableArch(
  { arch, kind }: Pick<ImageReport, "arch" | "kind">,
  property: "rvfPath" | "kernelPath",
): Arch {
  if (arch !== "unknown" && bootable[arch].includes(kind)) return arch;
  const which = property === "rvfPath" ? "the RVF's kernel" : "the file of kernelPath";
  const what =
    kind === "unknown" ? "is no kernel image" : `is of kind ${kind} for ${arch} and cannot be booted here`;
  throw new MicroVmError("KernelUnsupported", `${which} ${what}`, {
    hint: `${property === "rvfPath" ? "Embed" : "Name"} an x86-64 bzImage or vmlinux with a PVH note, an arm64 Image (plain or gzip), or a riscv64 Image.`,
    property,
  });
}

function assertVcpus({ vcpus }: VmSpec, arch: Arch): void {
  const most = maxVcpusOf[arch];
  if (vcpus <= most) return;
  const what = `vcpus is ${vcpus}, QEMU's machine for ${arch} takes at most ${most}`;
  throw new MicroVmError("InvalidArgument", what, { property: "vcpus" });
}

async function assertFile(path: string, property: "initramfsPath"): Promise<void> {
  const stats = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause, property);
  });
  if (stats.isFile()) return;
  throw new MicroVmError("InvalidArgument", `${property} is not a file: ${path}`, { property });
}

/** Adds what else can be booted where the RVF has no kernel. */
async function withAlternatives<T>(work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    if (!(error instanceof MicroVmError) || error.code !== "NoKernelSegment") throw error;
    const hint = `Boot it with the appliance: kernel: "appliance". Or name a kernel as kernelPath. ${error.hint ?? ""}`;
    throw new MicroVmError(error.code, error.message, { ...error, hint: hint.trim(), cause: error });
  });
}

/** Adds which input an error of the reader is about. */
async function about<T>(property: string, work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    if (!(error instanceof MicroVmError)) throw error;
    throw new MicroVmError(error.code, error.message, { ...error, property, cause: error });
  });
}
