/**
 * The appliance's own kernel, compiled from the distribution's packaged source with the configuration and the patches of `guest/kernel`: it
 * has what a microVM has, and nothing to load or to wait for.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MicroVmError } from "../errors.js";
import { missingBuildPackages } from "./build-packages.js";
import type { FetchOptions, Kernel, KernelSource } from "./kernel.js";
import { findLinuxSource, unpackLinuxSource, type LinuxSource } from "./linux-source.js";
import { run, type RunOptions } from "./run.js";
import { withTempDir } from "./temp.js";

/** Part of the key: raise it when this file builds the kernel differently. */
const BUILDER_VERSION = 1;

/** Two levels up both from the sources and from the built package. */
const OWN = fileURLToPath(new URL("../../guest/kernel", import.meta.url));
const own = (name: string): string => join(OWN, name);

const HINT = "The packaged kernel needs no C compiler: microvm appliance --kernel debian.";

/** Linux writes into itself when, by whom and where it was built; these make that the same everywhere. */
const anonymous = {
  KBUILD_BUILD_TIMESTAMP: "1970-01-01",
  KBUILD_BUILD_USER: "microvm",
  KBUILD_BUILD_HOST: "microvm",
  KBUILD_BUILD_VERSION: "1",
};

/**
 * The micro kernel of the source that can be had now.
 * @throws MicroVmError `ApplianceBuild` when this host cannot build it, naming what it lacks.
 */
export async function findMicroKernel(signal?: AbortSignal): Promise<KernelSource> {
  const missing = await missingBuildPackages(signal);
  if (process.arch !== "x64" || missing.length > 0) {
    const what = missing.length > 0 ? `needs the packages ${missing.join(" ")}` : "is built on x86-64 alone";
    const hint = missing.length > 0 ? `Install them as root: apt-get install ${missing.join(" ")}` : HINT;
    throw new MicroVmError("ApplianceBuild", `The micro kernel ${what}.`, { hint });
  }
  const source = await findLinuxSource(own("source.json"), signal);
  const made = [BUILDER_VERSION, source, await kernelSourceHash(), await toolVersions(signal)];
  const key = createHash("sha256").update(JSON.stringify(made)).digest("hex");
  return {
    title: `micro kernel of ${source.name} ${source.version} (SHA-256 ${source.sha256})`,
    key,
    fetch: (options) => fetchMicroKernel(source, key, options),
  };
}

/**
 * SHA-256 over the configuration and the patches.
 * @throws MicroVmError `ApplianceBuild` when the package came without them.
 */
export async function kernelSourceHash(): Promise<string> {
  const hash = createHash("sha256");
  try {
    for (const name of (await readdir(OWN)).sort())
      hash.update(`${name}\0`).update(await readFile(own(name)));
  } catch (cause) {
    throw new MicroVmError("ApplianceBuild", `The kernel's configuration is not at ${OWN}.`, { cause });
  }
  return hash.digest("hex");
}

/** Other tools make other code of the same source. */
async function toolVersions(signal: AbortSignal | undefined): Promise<string[]> {
  const versions = ["gcc", "ld", "lz4"].map((tool) => run(tool, ["--version"], { signal, hint: HINT }));
  return (await Promise.all(versions)).map((text) => text.toString());
}

/** The one in the cache, or one that is built now and kept there; several processes may do so at once. */
async function fetchMicroKernel(source: LinuxSource, key: string, options: FetchOptions): Promise<Kernel> {
  const finished = join(options.cacheDir, `linux-${key}`);
  return await readKernel(finished).catch(async () => {
    await withTempDir(options.cacheDir, async (dir) => {
      const log = join(options.cacheDir, `linux-${key}.log`);
      const built = await build(source, dir, log, options);
      await rename(built, finished).catch(() => "another process was first");
    });
    return await readKernel(finished);
  });
}

async function readKernel(folder: string): Promise<Kernel> {
  const version = (await readFile(join(folder, "version"), "utf8")).trim();
  return { version, image: await readFile(join(folder, "bzImage")), modules: [] };
}

/** Builds it below `dir`; returns a folder with the kernel as a bzImage and as an ELF, and its version. */
async function build(
  source: LinuxSource,
  dir: string,
  log: string,
  { signal, onProgress }: FetchOptions,
): Promise<string> {
  await writeFile(log, "");
  onProgress?.(`getting ${source.name} ${source.version}`);
  const linux = await unpackLinuxSource(source, dir, signal);
  const tell = { cwd: linux, log, signal, hint: HINT };
  const patches = (await readdir(OWN)).filter((name) => name.endsWith(".patch"));
  for (const name of patches.sort()) await run("patch", ["-p1", "--fuzz=0", "-i", own(name)], tell);
  await make(["allnoconfig", `KCONFIG_ALLCONFIG=${own("config")}`], tell);
  await assertConfigured(linux);
  let steps = 0;
  const onLine = (line: string): void =>
    onProgress?.(`compiling Linux: step ${++steps}, ${line.slice(7).trim()}`);
  await make([`-j${availableParallelism()}`, "vmlinux", "bzImage"], { ...tell, onLine });

  const built = join(dir, "built");
  await mkdir(built);
  await run("strip", ["-o", join(built, "vmlinux"), join(linux, "vmlinux")], tell);
  await copyFile(join(linux, "arch/x86/boot/bzImage"), join(built, "bzImage"));
  await copyFile(join(linux, "include/config/kernel.release"), join(built, "version"));
  return built;
}

async function make(args: string[], options: RunOptions): Promise<void> {
  const settings = Object.entries({ ARCH: "x86_64", ...anonymous }).map((pair) => pair.join("="));
  // From a make above this process there may be flags for it alone.
  await run("make", [...settings, ...args], { ...options, env: { MAKEFLAGS: undefined } });
}

/** Kconfig drops what lacks something without a word. */
async function assertConfigured(linux: string): Promise<void> {
  const lines = async (file: string): Promise<string[]> => (await readFile(file, "utf8")).split("\n");
  const result = new Set(await lines(join(linux, ".config")));
  const dropped = (await lines(own("config"))).filter(
    (line) => line.startsWith("CONFIG_") && !result.has(line),
  );
  if (dropped.length === 0) return;
  throw new MicroVmError("ApplianceBuild", "This source cannot be configured as the micro kernel wants it.", {
    hint: HINT,
    evidence: dropped.join("\n"),
  });
}
