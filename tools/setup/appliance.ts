/** The bootable image that the examples and tests put into RVF files. */
import {
  buildAppliance,
  makeAppliance as make,
  type ApplianceArch,
  type KernelKind,
  type MadeAppliance,
} from "../../src/appliance/index.js";
import { applianceFolder } from "../../src/appliance/cache.js";
import { withTempDir } from "../../src/appliance/temp.js";
import { installBuildPackages, prepareApt } from "./build-packages.js";
import type { Report } from "./command.js";
import { SetupError } from "./error.js";
import type { Part } from "./part.js";
import { cargoForAarch64 } from "./rust-aarch64.js";
import { ensureRust } from "./rust.js";

export interface Wanted {
  /** @default "micro" where it can be built */
  kernel?: KernelKind | undefined;
  /** Another than the default has the micro kernel, and is not the one that `--appliance` boots. @default "x86_64" */
  arch?: ApplianceArch | undefined;
}

/** As the package's own functions, with all that they need installed where that can be done. */
export async function makeAppliance(
  report: Report,
  { kernel, arch = "x86_64" }: Wanted = {},
): Promise<MadeAppliance> {
  return await withCargo(arch, report, async (cargo) => {
    const options = { cargo, onProgress: report };
    await prepareApt(report);
    if (kernel !== "debian")
      await installBuildPackages(arch, report).catch((error: unknown) => {
        // The packaged kernel takes its place then, unless that is not wanted.
        if (kernel === "micro" || arch !== "x86_64" || !(error instanceof SetupError)) throw error;
      });
    return await (arch === "x86_64" ? make({ ...options, kernel }) : buildAppliance({ ...options, arch }));
  });
}

/** Does the work with a cargo that compiles for the architecture. */
export async function withCargo<T>(
  arch: ApplianceArch,
  report: Report,
  work: (cargo: string) => Promise<T>,
): Promise<T> {
  if (arch === "x86_64") return await work(await ensureRust(report));
  return await withTempDir(
    await applianceFolder(),
    async (folder) => await work(await cargoForAarch64(folder, report)),
  );
}

export async function ensureAppliance(report: Report): Promise<Part> {
  const made = await makeAppliance(report);
  return { summary: describeAppliance(made), env: { MICROVM_APPLIANCE: made.path } };
}

/** In one line for a person. */
export function describeAppliance({ path, bytes, kernelVersion, cached, instead }: MadeAppliance): string {
  const what = `${cached ? "found" : "built"} Linux ${kernelVersion}, ${(bytes / 1e6).toFixed(1)} MB, ${path}`;
  return instead === undefined ? what : `${what} (not the micro kernel: ${instead})`;
}
