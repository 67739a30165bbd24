/** Everything a launch needs that can be had without starting anything: the kernel to boot and the QEMU to boot it. */
import { stat } from "node:fs/promises";
import { MicroVmError } from "../errors.js";
import { DEFAULT_API_PORT } from "../appliance/contract.js";
import { extractImage, extractKernel, inspectImage, inspectRvf, readKernel } from "../rvf/index.js";
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
  await examine(spec);
  const { kernel, warnings } =
    spec.kernelPath === undefined ? await kernelOfRvf(spec) : await kernelOfFile(spec.kernelPath);
  const qemu = await qemuFacts(await resolveQemu(kernel.arch, spec.qemuBinary));
  return { kernel: { ...kernel, initramfsPath: spec.initramfsPath ?? kernel.initramfsPath }, qemu, warnings };
}

/** The checks alone, without writing anything: what a preview can know. The kernel's hashes are left to the launch. */
export async function examine(spec: VmSpec): Promise<void> {
  const arch =
    spec.kernelPath === undefined ? await examineRvf(spec) : await examineFile(spec, spec.kernelPath);
  if (spec.initramfsPath !== undefined) await assertFile(spec.initramfsPath, "initramfsPath");
  await resolveQemu(arch, spec.qemuBinary);
}

async function examineRvf(spec: VmSpec): Promise<Arch> {
  const { arch, minMemoryMb } = await about("rvfPath", readKernel(spec.rvfPath, { verify: false }));
  if (spec.memoryMb < minMemoryMb) {
    throw new MicroVmError(
      "MemoryTooSmall",
      `the kernel asks for ${minMemoryMb} MiB, memoryMb is ${spec.memoryMb}`,
      {
        hint: `Set memoryMb to ${minMemoryMb} or more.`,
        property: "memoryMb",
      },
    );
  }
  return bootable(arch, "rvfPath");
}

async function examineFile(spec: VmSpec, kernelPath: string): Promise<Arch> {
  await about("rvfPath", inspectRvf(spec.rvfPath, { verify: false }));
  await assertFile(kernelPath, "kernelPath");
  return bootable((await about("kernelPath", inspectImage(kernelPath))).arch, "kernelPath");
}

type KernelAndWarnings = Omit<Preparation, "qemu">;

async function kernelOfRvf(spec: VmSpec): Promise<KernelAndWarnings> {
  const { report, ...files } = await about("rvfPath", extractKernel(spec.rvfPath));
  const { cmdline, apiPort, integrity, requiresKvm, warnings } = report;
  const arch = bootable(report.arch, "rvfPath");
  return {
    kernel: { ...files, arch, cmdline, integrity, requiresKvm, guestApiPort: apiPort || DEFAULT_API_PORT },
    warnings,
  };
}

async function kernelOfFile(kernelPath: string): Promise<KernelAndWarnings> {
  const { report, ...files } = await about("kernelPath", extractImage(kernelPath));
  const arch = bootable(report.arch, "kernelPath");
  const integrity = "a file of the user's own (kernelPath), not checked";
  return {
    kernel: { ...files, arch, cmdline: "", integrity, requiresKvm: false, guestApiPort: DEFAULT_API_PORT },
    warnings: report.warnings,
  };
}

/** An architecture QEMU can be asked for; anything else is refused, never guessed. */
function bootable(arch: string, property: "rvfPath" | "kernelPath"): Arch {
  const known = architectures.find((name) => name === arch);
  if (known !== undefined) return known;
  throw new MicroVmError("KernelUnsupported", `the kernel's architecture cannot be told (${arch})`, {
    hint: "Embed a bzImage, or a vmlinux with a PVH note.",
    property,
  });
}

async function assertFile(path: string, property: "kernelPath" | "initramfsPath"): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile()) return;
  throw new MicroVmError("InvalidArgument", `${property} is ${stats ? "not a file" : "missing"}: ${path}`, {
    property,
  });
}

/** Adds which input an error of the reader is about. */
async function about<T>(property: string, work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    if (!(error instanceof MicroVmError)) throw error;
    throw new MicroVmError(error.code, error.message, { property, ...error });
  });
}
