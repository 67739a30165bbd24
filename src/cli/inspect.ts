import type { Command } from "commander";
import { inspectRvf, type KernelReport, type RvfReport } from "../rvf/index.js";
import { fields, print, type JsonOption } from "./output.js";

/** `microvm inspect FILE`: what an RVF holds, before anything of it is booted. */
export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("show what an RVF holds")
    .argument("<file>", "the RVF file")
    .option("--json", "print JSON")
    .action(async (file: string, options: JsonOption) => print(await inspectRvf(file), options, describe));
}

function describe(rvf: RvfReport): string {
  const segments = Object.entries(rvf.segments).map(([type, count]) => `${count} ${type}`);
  return [
    fields([
      ["vectors", `${rvf.vectorCount} of dimension ${rvf.dimension} (${rvf.metric})`],
      ["segments", segments.join(", ")],
      ["size", `${rvf.fileBytes} bytes`],
      ...(rvf.kernel ? describeKernel(rvf.kernel) : []),
      ["kernel", rvf.kernel ? undefined : (rvf.kernelError?.message ?? "none")],
    ]),
    ...[...rvf.warnings, ...(rvf.kernel?.warnings ?? [])].map((warning) => `warning: ${warning}`),
  ].join("\n");
}

function describeKernel(kernel: KernelReport): [string, string | number | undefined][] {
  const { archByHeader, archByImage } = kernel;
  return [
    ["kernel", `${kernel.imageKind}, ${kernel.imageBytes} bytes, ${kernel.layout}`],
    ["arch", archByHeader === archByImage ? kernel.arch : `${kernel.arch} (the header says ${archByHeader})`],
    ["initramfs", kernel.initramfs && `${kernel.initramfs.bytes} bytes, ${kernel.initramfs.format}`],
    ["cmdline", kernel.cmdline || "(none)"],
    ["flags", kernel.flags.join(", ")],
    ["API port", kernel.apiPort || undefined],
    ["asks for", kernel.minMemoryMb ? `${kernel.minMemoryMb} MiB` : undefined],
    ["integrity", kernel.integrity],
  ];
}
