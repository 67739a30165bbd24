/**
 * What tests of aarch64 guests boot, and QEMU for it: Debian's arm64 kernel with the modules that a microVM needs, and our /init.
 * The packages are looked up by an apt with lists of its own, so the system keeps its architectures.
 */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buildInit, guestSourceHash } from "../../src/appliance/init.js";
import { fetchKernel, findKernelPackage } from "../../src/appliance/packaged-kernel.js";
import { exists, makeOnce, toolDir } from "./cache.js";
import { run, which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { installPackages } from "./packages.js";
import type { Part } from "./part.js";
import { ensureQemu } from "./qemu.js";
import { rustForAarch64 } from "./rust-aarch64.js";

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
  const init = await ensureInit(report).catch((error: unknown) => {
    if (error instanceof SetupError) return { missing: error.message };
    throw error;
  });
  const parts = [summary, `${present ? "found" : "fetched"} ${kernel}`];
  return "missing" in init
    ? { summary: [...parts, `no /init: ${init.missing}`].join("; "), env: { MICROVM_TEST_ARM64: kernel } }
    : {
        summary: [...parts, init.path].join("; "),
        env: { MICROVM_TEST_ARM64: kernel, MICROVM_TEST_ARM64_INIT: init.path },
      };
}

/** Fills the folder with Image, modules/*.ko and modules/order, which names them in the order in which they load. */
async function fetch(folder: string, report: Report): Promise<void> {
  if (!(await which("apt-get")))
    throw new SetupError("Debian's arm64 kernel, which tests boot, can only be had by apt.", {
      hint: "Run the tests on Debian, or all that need no virtual machine: npm run test:unit",
    });
  if (!(await which("xz"))) await installPackages({ "apt-get": "xz-utils" }, report);
  const apt = join(folder, "apt");
  const options = { arch: "arm64", aptOptions: await ownLists(apt, report), cacheDir: apt } as const;
  const { image, modules } = await fetchKernel(await findKernelPackage(options), options);
  await writeFile(join(folder, "Image"), image);
  await mkdir(join(folder, "modules"));
  for (const { name, data } of modules) await writeFile(join(folder, "modules", `${name}.ko`), data);
  await writeFile(join(folder, "modules", "order"), modules.map(({ name }) => `${name}.ko\n`).join(""));
  await rm(apt, { recursive: true });
}

/** Our /init of the sources as they are, compiled where it was not yet. Throws SetupError where there is no Rust for it. */
async function ensureInit(report: Report): Promise<{ path: string }> {
  const folder = toolDir(`arm64-init-${await guestSourceHash()}`);
  if (!(await exists(folder)))
    await makeOnce(folder, async (partial) => {
      const work = join(partial, "work");
      await mkdir(work);
      const aptOptions = () => ownLists(join(work, "apt"), report);
      const { cargo, env } = await rustForAarch64(work, aptOptions, report);
      const options = { cacheDir: work, arch: "aarch64", cargo, onProgress: report } as const;
      await rename(await buildInit({ ...options, env: { ...env, ...quickly } }), join(partial, "init"));
      await rm(work, { recursive: true });
    });
  return { path: join(folder, "init") };
}

/** Fetches lists of arm64 packages from the system's own mirrors into `dir`; returns what makes apt use them. */
async function ownLists(dir: string, report: Report): Promise<string[]> {
  for (const sub of ["state/lists/partial", "cache/archives/partial"])
    await mkdir(join(dir, sub), { recursive: true });
  const settings = [
    "APT::Architecture=arm64",
    "APT::Architectures=arm64",
    `Dir::State=${join(dir, "state")}`,
    "Dir::State::status=/dev/null",
    `Dir::Cache=${join(dir, "cache")}`,
    "APT::Sandbox::User=root",
    "Acquire::Languages=none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
  ];
  const options = settings.flatMap((setting) => ["-o", setting]);
  await run("apt-get", [...options, "update"], { report });
  return options;
}
