/** What Linux's own configuration reads of the micro kernel's source: small enough to be kept, to try configurations on it. */
import { createHash } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { unpackLinuxSource } from "../../src/appliance/linux-source.js";
import { pinnedSource } from "../../src/appliance/micro-kernel.js";
import { MicroVmError } from "../../src/errors.js";
import { installBuildPackages, prepareApt } from "./build-packages.js";
import { exists, makeOnce, toolDir } from "./cache.js";
import type { Report } from "./command.js";
import { SetupError } from "./error.js";

const wanted = ["Makefile", "arch/arm64/Makefile", "scripts/*", "*Kconfig*"];

/**
 * The folder with those files for aarch64, and all installed that a configuration asks: the compiler is asked what it can do. They are of the
 * pinned source alone: another may drop an option, for which the product has an answer, and which says nothing of the configuration.
 * @throws SetupError where it cannot be had
 */
export async function ensureKconfig(report: Report): Promise<string> {
  await prepareApt(report);
  await installBuildPackages("aarch64", report);
  const source = await pinnedSource();
  const key = createHash("sha256")
    .update(JSON.stringify([source, wanted]))
    .digest("hex");
  const folder = toolDir(`linux-kconfig-${key}`);
  if (await exists(folder)) return join(folder, "linux");
  const what = `${source.name} ${source.version}`;
  try {
    await makeOnce(folder, async (partial) => {
      report(`getting the configuration of ${what}`);
      const work = join(partial, "work");
      await mkdir(work);
      const options = { only: wanted.map((name) => `${source.name}/${name}`) };
      await rename(await unpackLinuxSource(source, work, options), join(partial, "linux"));
      await rm(work, { recursive: true });
    });
  } catch (error) {
    if (!(error instanceof MicroVmError)) throw error;
    throw new SetupError(`${what} cannot be had: ${error.message}`, { cause: error });
  }
  return join(folder, "linux");
}
