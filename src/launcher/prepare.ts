/** Everything a launch needs that can be had without starting anything: the kernel to boot and the QEMU to boot it. */
import { stat } from "node:fs/promises";
import { MicroVmError } from "../errors.js";
import { DEFAULT_API_PORT } from "../appliance/contract.js";
import {
  extractImage,
  extractKernel,
  inspectImage,
  inspectRvf,
  readKernel,
  type KernelReport,
} from "../rvf/index.js";
import type { BootKernel } from "./plan.js";
import { architectures, type Arch } from "./arch.js";
import { qemuFacts, resolveQemu, type QemuFacts } from "./qemu.js";
import type { VmSpec } from "./spec.js";

export interface PreparedKernel extends BootKernel {
  sha256: string;
  /** In words for a person: which hashes were there and what they said. */
  integrity: string;
  requiresKvm: boolean;
}

export interface Preparation {
  kernel: PreparedKernel;
  qemu: QemuFacts;
  /** What a user should know, though it stops nothing. */
  warnings: string[];
}

/** Checks, extracts and finds. Throws the error of whatever is missing or unfit. */
export async function prepare(spec: VmSpec): Promise<Preparation> {
  const { kernel, warnings } =
    spec.kernelPath === undefined ? await kernelOfRvf(spec) : await kernelOfFile(spec, spec.kernelPath);
  if (spec.initramfsPath !== undefined) await assertFile(spec.initramfsPath, "initramfsPath");
  const qemu = await qemuFacts(await resolveQemu(kernel.arch, spec.qemuBinary));
  return { kernel: { ...kernel, initramfsPath: spec.initramfsPath ?? kernel.initramfsPath }, qemu, warnings };
}

/** The same checks without writing anything: what a preview can know. */
export async function examine(spec: VmSpec): Promise<void> {
  const arch =
    spec.kernelPath === undefined
      ? bootableRvf(spec, await about("rvfPath", readKernel(spec.rvfPath)))
      : await examineFile(spec, spec.kernelPath);
  if (spec.initramfsPath !== undefined) await assertFile(spec.initramfsPath, "initramfsPath");
  await resolveQemu(arch, spec.qemuBinary);
}

type KernelAndWarnings = Omit<Preparation, "qemu">;

async function kernelOfRvf(spec: VmSpec): Promise<KernelAndWarnings> {
  const { report, ...files } = await about("rvfPath", extractKernel(spec.rvfPath));
  const { cmdline, apiPort, integrity, requiresKvm, warnings } = report;
  const arch = bootableRvf(spec, report);
  return {
    kernel: { ...files, arch, cmdline, integrity, requiresKvm, guestApiPort: apiPort || DEFAULT_API_PORT },
    warnings,
  };
}

async function kernelOfFile(spec: VmSpec, kernelPath: string): Promise<KernelAndWarnings> {
  const arch = await examineFile(spec, kernelPath);
  const { report, ...files } = await about("kernelPath", extractImage(kernelPath));
  const integrity = "a file of the user's own (kernelPath), not checked";
  return {
    kernel: { ...files, arch, cmdline: "", integrity, requiresKvm: false, guestApiPort: DEFAULT_API_PORT },
    warnings: report.warnings,
  };
}

function bootableRvf(spec: VmSpec, report: KernelReport): Arch {
  const { minMemoryMb } = report;
  if (spec.memoryMb < minMemoryMb) {
    const asked = `the kernel asks for ${minMemoryMb} MiB, memoryMb is ${spec.memoryMb}`;
    const hint = `Set memoryMb to ${minMemoryMb} or more.`;
    throw new MicroVmError("MemoryTooSmall", asked, { hint, property: "memoryMb" });
  }
  return bootable(report, "rvfPath");
}

/** With a kernel of its own the RVF still has to be one: it becomes the guest's disk. */
async function examineFile(spec: VmSpec, kernelPath: string): Promise<Arch> {
  await about("rvfPath", inspectRvf(spec.rvfPath, { verify: false }));
  return bootable(await about("kernelPath", inspectImage(kernelPath)), "kernelPath");
}

/** What QEMU's direct boot takes; anything else is refused, never guessed. */
function bootable({ arch, imageKind }: ImageKindAndArch, property: "rvfPath" | "kernelPath"): Arch {
  const known = architectures.find((name) => name === arch);
  if (known !== undefined && bootableKinds.includes(imageKind)) return known;
  throw new MicroVmError("KernelUnsupported", `a kernel of kind ${imageKind} (${arch}) cannot be booted`, {
    hint: "Embed a bzImage, or a vmlinux with a PVH note.",
    property,
  });
}

type ImageKindAndArch = Pick<KernelReport, "imageKind"> & { arch: string };

const bootableKinds: readonly string[] = ["bzImage", "elf-pvh", "arm64-image", "riscv-image"];

async function assertFile(path: string, property: "initramfsPath"): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile()) return;
  const what = stats ? "not a file" : "missing";
  throw new MicroVmError("InvalidArgument", `${property} is ${what}: ${path}`, { property });
}

/** Adds which input an error of the reader is about. */
async function about<T>(property: string, work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    if (!(error instanceof MicroVmError)) throw error;
    throw new MicroVmError(error.code, error.message, { ...error, property, cause: error });
  });
}
