/** `npm run appliance -- --out FILE`: one bootable image, kernel and init together; and the command to use it with. */
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import {
  applianceArchs,
  buildAppliance,
  copyImage,
  kernelKinds,
  type ApplianceArch,
  type KernelKind,
  type MadeAppliance,
} from "../src/appliance/index.js";
import { applianceFolder } from "../src/appliance/cache.js";
import { withTempDir } from "../src/appliance/temp.js";
import { describeAppliance, makeAppliance, withCargo } from "./setup/appliance.js";
import type { Report } from "./setup/command.js";
import { SetupError } from "./setup/error.js";
import { ensurePackage } from "./setup/package.js";
import { main, runSteps } from "./steps.js";

const command = new Command("npm run appliance --")
  .description("Builds the bootable image, kernel and init together, and writes it to a file.")
  .requiredOption("--out <file>", "where to write the image", writableFile)
  .addOption(
    new Option(
      "--kernel <kind>",
      "the kernel built here, or Debian's packaged one (default: micro where it can be built)",
    ).choices(kernelKinds),
  )
  .addOption(
    new Option(
      "--arch <arch>",
      "for guests of this architecture; other than the default with the micro kernel only",
    )
      .choices(applianceArchs)
      .default("x86_64"),
  )
  .option("--verify", "build it once more from nothing, and compare the bytes")
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse();
const { out, kernel, arch, verify } = command.opts<{
  out: string;
  kernel?: KernelKind;
  arch: ApplianceArch;
  verify?: true;
}>();
if (arch !== "x86_64" && kernel === "debian")
  command.error(`error: there is no appliance for ${arch} with Debian's kernel`);

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

/** Throws where two builds of the same sources differ. */
async function buildAgain(first: MadeAppliance, report: Report): Promise<string> {
  return await withTempDir(await applianceFolder(), async (folder) => {
    const which = first.instead === undefined ? kernel : "debian";
    const options = { cacheDir: folder, kernel: which, arch, onProgress: report };
    const again = await withCargo(arch, report, (cargo) => buildAppliance({ ...options, cargo }));
    if (again.sha256 !== first.sha256) throw new SetupError(`it has other bytes, SHA-256 ${again.sha256}`);
    return "the same bytes";
  });
}

await main(async () => {
  let image: MadeAppliance | undefined;
  const run = async (report: Report) => {
    const made = await makeAppliance(report, { kernel, arch });
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
  if (verify) await runSteps([{ title: "A second build", run: (report) => buildAgain(image!, report) }]);
  console.log(`${out}\n${image!.bytes} bytes\nsha256 ${image!.sha256}`);
});
