/** The bootable image that the examples and tests put into RVF files. */
import { missingBuildPackages } from "../../src/appliance/build-packages.js";
import { makeAppliance as make, type KernelKind, type MadeAppliance } from "../../src/appliance/index.js";
import { ask, which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { installPackages, refreshPackageLists } from "./packages.js";
import type { Part } from "./part.js";
import { ensureRust } from "./rust.js";

/** As the package's own `makeAppliance`, with all that it needs installed where that can be done. */
export async function makeAppliance(report: Report, kernel?: KernelKind): Promise<MadeAppliance> {
  const cargo = await ensureRust(report);
  await prepareApt(report);
  if (kernel !== "debian")
    await installBuildPackages(report).catch((error: unknown) => {
      // The packaged kernel takes its place then, unless that is not wanted.
      if (kernel === "micro" || !(error instanceof SetupError)) throw error;
    });
  return await make({ kernel, cargo, onProgress: report });
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

/** Either kernel comes out of a Debian package: apt must know packages, and what is in it is packed with xz. */
async function prepareApt(report: Report): Promise<void> {
  if (!(await which("apt-get"))) return;
  if (!(await ask("apt-cache", ["show", "linux-image-cloud-amd64"])))
    await refreshPackageLists("apt-get", report);
  if (!(await which("xz"))) await installPackages({ "apt-get": "xz-utils" }, report);
}

/** What the micro kernel is compiled with. */
async function installBuildPackages(report: Report): Promise<void> {
  const missing = await missingBuildPackages();
  if (missing.length > 0) await installPackages({ "apt-get": missing.join(" ") }, report);
}
