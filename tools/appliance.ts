/** `npm run appliance -- --out FILE`: one bootable image, kernel and init together; and the command to use it with. */
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { copyImage, kernelKinds, type Appliance, type KernelKind } from "../src/appliance/index.js";
import { describeAppliance, makeAppliance } from "./setup/appliance.js";
import type { Report } from "./setup/command.js";
import { ensurePackage } from "./setup/package.js";
import { main, runSteps } from "./steps.js";

const { out, kernel } = new Command("npm run appliance --")
  .description("Builds the bootable image, kernel and init together, and writes it to a file.")
  .requiredOption("--out <file>", "where to write the image", writableFile)
  .addOption(
    new Option(
      "--kernel <kind>",
      "the kernel built here, or Debian's packaged one (default: micro where it can be built)",
    ).choices(kernelKinds),
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse()
  .opts<{ out: string; kernel?: KernelKind }>();

/** Known to be wrong before the build of some minutes. */
function writableFile(value: string): string {
  const file = resolve(process.env["INIT_CWD"] ?? "", value);
  if (!statSync(dirname(file), { throwIfNoEntry: false })?.isDirectory()) {
    throw new InvalidArgumentError(`There is no folder ${dirname(file)}.`);
  }
  if (statSync(file, { throwIfNoEntry: false })?.isDirectory())
    throw new InvalidArgumentError("It is a folder.");
  return file;
}

await main(async () => {
  let image: Appliance | undefined;
  const run = async (report: Report) => {
    const made = await makeAppliance(report, kernel);
    image = made;
    await copyImage(made, out);
    return describeAppliance(made);
  };
  const compile = async (report: Report) => (await ensurePackage(report)).summary;
  const steps = [
    { title: "Appliance", run },
    { title: "The package", run: compile },
  ];
  await runSteps(steps, { concurrent: 2 });
  console.log(`${out}\n${image!.bytes} bytes\nsha256 ${image!.sha256}`);
});
