/** The bootable image that the examples and tests put into RVF files. */
import { missingBuildPackages } from "../../src/appliance/build-packages.js";
import { buildAppliance, type Appliance, type KernelKind } from "../../src/appliance/index.js";
import { MicroVmError } from "../../src/errors.js";
import { ask, which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { installPackages, refreshPackageLists } from "./packages.js";
import type { Part } from "./part.js";
import { ensureRust } from "./rust.js";

/**
 * With the kernel that is asked for, else the micro kernel or, where that cannot be built, the packaged one: then `instead` says
 * in a line why.
 */
export async function makeAppliance(
  report: Report,
  kernel?: KernelKind,
): Promise<Appliance & { instead?: string }> {
  const cargo = await ensureRust(report);
  await prepareApt(report);
  const build = (kernel: KernelKind) => buildAppliance({ kernel, cargo, onProgress: report });
  if (kernel === "debian") return await build("debian");
  try {
    await installBuildPackages(report);
    return await build("micro");
  } catch (error) {
    if (kernel === "micro" || !cannotBeBuilt(error)) throw error;
    const instead = error.message.split("\n", 1)[0]!;
    report(`the packaged kernel instead: ${instead}`);
    return { ...(await build("debian")), instead };
  }
}

const cannotBeBuilt = (error: unknown): error is Error =>
  error instanceof SetupError || (error instanceof MicroVmError && error.code === "ApplianceBuild");

export async function ensureAppliance(report: Report): Promise<Part> {
  const made = await makeAppliance(report);
  return { summary: describeAppliance(made), env: { MICROVM_APPLIANCE: made.path } };
}

/** In one line for a person. */
export function describeAppliance({
  path,
  bytes,
  kernelVersion,
  cached,
  instead,
}: Appliance & { instead?: string }): string {
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
