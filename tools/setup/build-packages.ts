/** What an appliance is made with, as far as it comes in Debian's packages. */
import { missingBuildPackages } from "../../src/appliance/build-packages.js";
import type { ApplianceArch } from "../../src/appliance/index.js";
import { ask, which, type Report } from "./command.js";
import { installPackages, refreshPackageLists } from "./packages.js";

/** What the micro kernel is compiled with. */
export async function installBuildPackages(arch: ApplianceArch, report: Report): Promise<void> {
  const missing = await missingBuildPackages(undefined, arch);
  if (missing.length > 0) await installPackages({ "apt-get": missing.join(" ") }, report);
}

/** Either kernel comes out of a Debian package: apt must know packages, and what is in it is packed with xz. */
export async function prepareApt(report: Report): Promise<void> {
  if (!(await which("apt-get"))) return;
  if (!(await ask("apt-cache", ["show", "linux-image-cloud-amd64"])))
    await refreshPackageLists("apt-get", report);
  if (!(await which("xz"))) await installPackages({ "apt-get": "xz-utils" }, report);
}
