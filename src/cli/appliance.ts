import { Option, type Command } from "commander";
import {
  applianceArchs,
  buildAppliance,
  copyImage,
  currentAppliance,
  kernelKinds,
  makeAppliance,
  nowAndThen,
  takePrebuilt,
  type Appliance,
  type ApplianceArch,
  type KernelKind,
} from "../appliance/index.js";
import { MicroVmError } from "../errors.js";
import { interruptible } from "./interrupt.js";
import { fields, print, type JsonOption } from "./output.js";
import { showSteps } from "./progress.js";

interface ApplianceOptions extends JsonOption {
  kernel?: KernelKind;
  arch?: ApplianceArch;
  from?: string;
  sha256?: string;
  out?: string;
}

interface Shown extends Appliance {
  /** Where a prebuilt one came from. */
  from?: string | undefined;
  /** Why it was not the micro kernel that was built just now, where that was wanted. */
  instead?: string | undefined;
  /** The copy that was written. */
  out?: string | undefined;
}

/** `microvm appliance`: the bootable image that `--appliance` boots, shown, or made where there is none. */
export function addAppliance(program: Command): void {
  program
    .command("appliance")
    .description("show the bootable image that --appliance boots; build it where there is none")
    .addOption(
      new Option("--kernel <kind>", "build it with this kernel (default: micro where it can be built)")
        .choices(kernelKinds)
        .conflicts("from"),
    )
    .addOption(
      new Option("--arch <arch>", "build one for another architecture, to be embedded (see --out)")
        .choices(applianceArchs)
        .conflicts("from"),
    )
    .option("--from <file|url>", "take a prebuilt one instead; needs --sha256")
    .option("--sha256 <hash>", "what the SHA-256 of the prebuilt one has to be")
    .option("--out <file>", "write a copy of the image")
    .option("--json", "print JSON")
    .action(async (options: ApplianceOptions) => {
      const shown = await interruptible((signal) => appliance(options, signal));
      const { path, sha256, bytes, kernelVersion, from, instead, out } = shown;
      print({ path, sha256, bytes, kernelVersion, from, instead, out }, options, describe);
    });
}

async function appliance(
  { kernel, arch, from, sha256, out }: ApplianceOptions,
  signal: AbortSignal,
): Promise<Shown> {
  if ((from === undefined) !== (sha256 === undefined))
    throw new MicroVmError("InvalidArgument", "--from and --sha256 belong together");
  const image: Shown = await (from !== undefined && sha256 !== undefined
    ? takePrebuilt({ from, sha256, signal })
    : arch !== undefined
      ? built(arch, kernel, signal)
      : found(kernel, signal));
  if (out === undefined) return image;
  await copyImage(image, out);
  return { ...image, out };
}

/** Never the one that `--appliance` boots. */
async function built(
  arch: ApplianceArch,
  kernel: KernelKind | undefined,
  signal: AbortSignal,
): Promise<Shown> {
  using steps = showSteps();
  return await buildAppliance({ arch, kernel, signal, onProgress: nowAndThen((text) => steps.tell(text)) });
}

async function found(kernel: KernelKind | undefined, signal: AbortSignal): Promise<Shown> {
  const current = kernel === undefined ? await currentAppliance() : undefined;
  if (current !== undefined) return current;
  using steps = showSteps();
  return await makeAppliance({ kernel, signal, onProgress: nowAndThen((text) => steps.tell(text)) });
}

const describe = (image: Shown): string =>
  fields([
    ["image", image.path],
    ["bytes", image.bytes],
    ["sha256", image.sha256],
    ["Linux", image.kernelVersion],
    ["from", image.from],
    ["not the micro kernel", image.instead],
    ["written", image.out],
  ]);
