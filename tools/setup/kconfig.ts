/** What Linux's own configuration reads of the micro kernel's source: small enough to be kept, to try configurations on it. */
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { unpackLinuxSource } from "../../src/appliance/linux-source.js";
import { findMicroKernelSource } from "../../src/appliance/micro-kernel.js";
import { installBuildPackages, prepareApt } from "./build-packages.js";
import { exists, makeOnce, toolDir } from "./cache.js";
import type { Report } from "./command.js";

/** The folder with those files for aarch64, and all installed that a configuration asks: the compiler is asked what it can do. */
export async function ensureKconfig(report: Report): Promise<string> {
  await prepareApt(report);
  await installBuildPackages("aarch64", report);
  const source = await findMicroKernelSource();
  const folder = toolDir(`linux-kconfig-${source.sha256}`);
  if (!(await exists(folder)))
    await makeOnce(folder, async (partial) => {
      report(`getting the configuration of ${source.name} ${source.version}`);
      const work = join(partial, "work");
      await mkdir(work);
      const only = ["Makefile", "arch/arm64/Makefile", "scripts/*", "*Kconfig*"];
      const options = { only: only.map((name) => `${source.name}/${name}`) };
      await rename(await unpackLinuxSource(source, work, options), join(partial, "linux"));
      await rm(work, { recursive: true });
    });
  return join(folder, "linux");
}
