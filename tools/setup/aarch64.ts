/**
 * What tests of aarch64 guests boot, and QEMU for it: Debian's arm64 kernel with the modules that a microVM needs, and a
 * busybox. The packages are looked up by an apt with lists of its own, so the system keeps its architectures.
 */
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fetchKernel, findKernelPackage } from "../../src/appliance/packaged-kernel.js";
import { getPackage, unpackPackage } from "../../src/appliance/package.js";
import { exists, makeOnce, toolDir } from "./cache.js";
import { run, which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { installPackages } from "./packages.js";
import type { Part } from "./part.js";
import { ensureQemu } from "./qemu.js";

export async function ensureAarch64(report: Report): Promise<Part> {
  const { summary } = await ensureQemu(report, "aarch64");
  const folder = toolDir("debian-arm64");
  const present = await exists(folder);
  if (!present) await makeOnce(folder, async (partial) => await fill(partial, report));
  return {
    summary: `${summary}; ${present ? "found" : "fetched"} ${folder}`,
    env: { MICROVM_TEST_ARM64: folder },
  };
}

/** Image, busybox, modules/*.ko and modules/order, which names them in the order in which they load. */
async function fill(folder: string, report: Report): Promise<void> {
  if (!(await which("apt-get")))
    throw new SetupError("Debian's arm64 kernel, which tests boot, can only be had by apt.", {
      hint: "Run the tests on Debian, or all that need no virtual machine: npm run test:unit",
    });
  if (!(await which("xz"))) await installPackages({ "apt-get": "xz-utils" }, report);
  const apt = join(folder, "apt");
  const options = { aptOptions: await ownLists(apt, report), cacheDir: apt };

  const { image, modules } = await fetchKernel(
    await findKernelPackage({ arch: "arm64", ...options }),
    options,
  );
  await writeFile(join(folder, "Image"), image);
  await mkdir(join(folder, "modules"));
  for (const { name, data } of modules) await writeFile(join(folder, "modules", `${name}.ko`), data);
  await writeFile(join(folder, "modules", "order"), modules.map(({ name }) => `${name}.ko\n`).join(""));

  const busybox = await getPackage({ name: "busybox-static" }, { ...options, hint: "Is the network up?" });
  await unpackPackage(busybox, join(apt, "busybox"));
  await copyFile(join(apt, "busybox", "bin", "busybox"), join(folder, "busybox"));
  await rm(apt, { recursive: true });
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
