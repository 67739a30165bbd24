import { Option, type Command } from "commander";
import { architectures, type Arch } from "../launcher/index.js";
import { embedKernel, type EmbedReport } from "../rvf/index.js";
import { interruptible } from "./interrupt.js";
import { readPrivateKey } from "./input-file.js";
import { fields, print, type JsonOption } from "./output.js";
import { wholeNumber } from "./spec-options.js";

interface EmbedOptions extends JsonOption {
  image: string;
  initramfs?: string;
  cmdline?: string;
  arch?: Arch;
  memory?: number;
  port?: number;
  key?: string;
  output: string;
}

/** `microvm embed FILE --image KERNEL -o OUT`: a copy of an RVF with a kernel in it. */
export function addEmbed(program: Command): void {
  program
    .command("embed")
    .description("write a copy of an RVF with a kernel in it")
    .argument("<file>", "the RVF file; it is not changed")
    .requiredOption("--image <kernel>", "the kernel image")
    .option("--initramfs <file>", "an initramfs to put behind the kernel, a bzImage")
    .option("--cmdline <line>", "the kernel's command line (default: none)")
    .addOption(
      new Option("--arch <arch>", "only needed where the image does not tell").choices(architectures),
    )
    .option("-m, --memory <MiB>", "least memory that the kernel asks for (default: none)", wholeNumber)
    .option("-p, --port <port>", "guest port of the HTTP API (default: 8080)", wholeNumber)
    .option("--key <file>", "sign it with this private key (microvm keygen)")
    .requiredOption("-o, --output <file>", "the file to write; there must be none")
    .option("--json", "print JSON")
    .action(async (file: string, options: EmbedOptions) => {
      const { image, initramfs, cmdline, arch, memory, port, key, output } = options;
      const privateKey = key === undefined ? undefined : await readPrivateKey(key);
      const what = { image, initramfs, cmdline, arch, minMemoryMb: memory, apiPort: port, privateKey };
      const report = await interruptible((signal) => embedKernel(file, { ...what, out: output, signal }));
      print(report, options, describe);
    });
}

/** As `inspect` tells it: without the initramfs behind it. */
const kernelBytes = ({ imageBytes, initramfs }: EmbedReport): number => imageBytes - (initramfs?.bytes ?? 0);

const describe = (report: EmbedReport): string =>
  [
    fields([
      ["written", report.out],
      ["size", `${report.bytes} bytes`],
      ["kernel", `${report.imageKind}, ${kernelBytes(report)} bytes, ${report.arch}`],
      ["initramfs", report.initramfs && `${report.initramfs.bytes} bytes, ${report.initramfs.format}`],
      ["cmdline", report.cmdline || "(none)"],
      ["SHA3-256", report.imageHash],
      ["signed by", report.signer],
    ]),
    ...report.warnings.map((warning) => `warning: ${warning}`),
  ].join("\n");
