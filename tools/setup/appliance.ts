/** The bootable image that the examples and tests put into RVF files. */
import { buildAppliance, type Appliance } from "../../src/appliance/index.js";
import { ask, which, type Report } from "./command.js";
import { installPackages, refreshPackageLists } from "./packages.js";
import type { Part } from "./part.js";
import { ensureRust } from "./rust.js";

export async function makeAppliance(report: Report): Promise<Appliance> {
  const cargo = await ensureRust(report);
  await prepareApt(report);
  return await buildAppliance({ cargo, onProgress: report });
}

export async function ensureAppliance(report: Report): Promise<Part> {
  const { path, bytes, kernelVersion, cached } = await makeAppliance(report);
  return {
    summary: `${cached ? "found" : "built"} Linux ${kernelVersion}, ${(bytes / 1e6).toFixed(1)} MB, ${path}`,
    env: { MICROVM_APPLIANCE: path },
  };
}

/** The kernel is taken out of a Debian package: apt must know packages, and the modules in it are packed with xz. */
async function prepareApt(report: Report): Promise<void> {
  if (!(await which("apt-get"))) return;
  if (!(await ask("apt-cache", ["show", "linux-image-cloud-amd64"])))
    await refreshPackageLists("apt-get", report);
  if (!(await which("xz"))) await installPackages({ "apt-get": "xz-utils" }, report);
}
