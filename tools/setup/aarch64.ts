/** What tests of aarch64 guests boot, and QEMU for it: Debian's arm64 kernel with the modules that a microVM needs, and our /init. */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildInit, guestSourceHash } from "../../src/appliance/init.js";
import { fetchKernel, findKernelPackage } from "../../src/appliance/packaged-kernel.js";
import { arm64Lists } from "./arm64-lists.js";
import { exists, makeOnce, toolDir } from "./cache.js";
import { which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { ensureKconfig } from "./kconfig.js";
import { installPackages } from "./packages.js";
import type { Part } from "./part.js";
import { ensureQemu } from "./qemu.js";
import { cargoForAarch64 } from "./rust-aarch64.js";

/** It serves three queries: to compile it quickly counts for more than that it is quick. */
const quickly = {
  CARGO_PROFILE_RELEASE_LTO: "false",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
};

export async function ensureAarch64(report: Report): Promise<Part> {
  const { summary } = await ensureQemu(report, "aarch64");
  const kernel = toolDir("debian-arm64-kernel");
  const present = await exists(kernel);
  if (!present) await makeOnce(kernel, async (partial) => await fetch(partial, report));
  const init = await orReason(ensureInit(report));
  const kconfig = await orReason(ensureKconfig(report));
  const parts = [
    summary,
    `${present ? "found" : "fetched"} ${kernel}`,
    init.path ?? `no /init: ${init.reason}`,
    kconfig.path ?? `no configuration of Linux: ${kconfig.reason}`,
  ];
  return {
    summary: parts.join("; "),
    env: {
      MICROVM_TEST_ARM64: kernel,
      ...(init.path !== undefined && { MICROVM_TEST_ARM64_INIT: init.path }),
      ...(kconfig.path !== undefined && { MICROVM_TEST_ARM64_KCONFIG: kconfig.path }),
    },
  };
}

/** The path, or why there is none on this machine. */
async function orReason(work: Promise<string>): Promise<{ path?: string; reason?: string }> {
  try {
    return { path: await work };
  } catch (error) {
    if (error instanceof SetupError) return { reason: error.message };
    throw error;
  }
}

/** Fills the folder with Image, modules/*.ko and modules/order, which names them in the order in which they load. */
async function fetch(folder: string, report: Report): Promise<void> {
  if (!(await which("apt-get")))
    throw new SetupError("Debian's arm64 kernel, which tests boot, can only be had by apt.", {
      hint: "Run the tests on Debian, or all that need no virtual machine: npm run test:unit",
    });
  if (!(await which("xz"))) await installPackages({ "apt-get": "xz-utils" }, report);
  const apt = join(folder, "apt");
  const options = { arch: "arm64", aptOptions: await arm64Lists(apt, report), cacheDir: apt } as const;
  const { image, modules } = await fetchKernel(await findKernelPackage(options), options);
  await writeFile(join(folder, "Image"), image);
  await mkdir(join(folder, "modules"));
  for (const { name, data } of modules) await writeFile(join(folder, "modules", `${name}.ko`), data);
  await writeFile(join(folder, "modules", "order"), modules.map(({ name }) => `${name}.ko\n`).join(""));
  await rm(apt, { recursive: true });
}

/** Our /init of the sources as they are, compiled where it was not yet. Throws SetupError where there is no Rust for it. */
async function ensureInit(report: Report): Promise<string> {
  const folder = toolDir(`arm64-init-${await guestSourceHash()}`);
  if (!(await exists(folder)))
    await makeOnce(folder, async (partial) => {
      const work = join(partial, "work");
      await mkdir(work);
      const cargo = await cargoForAarch64(work, report);
      const options = { cacheDir: work, arch: "aarch64", cargo, env: quickly, onProgress: report } as const;
      await rename(await buildInit(options), join(partial, "init"));
      await rm(work, { recursive: true });
    });
  return join(folder, "init");
}
