/**
 * The appliance's own kernel, compiled from the distribution's packaged source with the configuration and the patches of `guest/kernel`: it
 * has what a microVM has, and nothing to load or to wait for.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MicroVmError } from "../errors.js";
import type { ApplianceArch } from "./arch.js";
import { missingBuildPackages } from "./build-packages.js";
import type { FetchOptions, Kernel, KernelSource } from "./kernel.js";
import { findLinuxSource, readPin, unpackLinuxSource, type LinuxSource } from "./linux-source.js";
import { run, type RunOptions } from "./run.js";
import { withTempDir } from "./temp.js";

/** Part of the key: raise it when this file builds the kernel differently. */
const BUILDER_VERSION = 1;

/** Two levels up both from the sources and from the built package. */
const OWN = fileURLToPath(new URL("../../guest/kernel", import.meta.url));
const own = (name: string): string => join(OWN, name);
const PIN = own("source.json");

const HINT = "The packaged kernel needs no C compiler: microvm appliance --kernel debian.";

/** How Linux is made for an architecture, and the file that starts. */
const builds: Record<
  ApplianceArch,
  { prefix: string; settings: string[]; targets: string[]; image: string }
> = {
  x86_64: {
    prefix: "",
    settings: ["ARCH=x86_64"],
    targets: ["vmlinux", "bzImage"],
    image: "arch/x86/boot/bzImage",
  },
  aarch64: {
    prefix: "aarch64-linux-gnu-",
    settings: ["ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-"],
    targets: ["vmlinux", "Image"],
    image: "arch/arm64/boot/Image",
  },
};

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
export async function findMicroKernel(
  signal?: AbortSignal,
  arch: ApplianceArch = "x86_64",
): Promise<KernelSource> {
  const missing = await missingBuildPackages(signal, arch);
  if (process.arch !== "x64" || missing.length > 0) {
    const what = missing.length > 0 ? `needs the packages ${missing.join(" ")}` : "is built on x86-64 alone";
    const hint = missing.length > 0 ? `Install them as root: apt-get install ${missing.join(" ")}` : HINT;
    throw new MicroVmError("ApplianceBuild", `The micro kernel ${what}.`, { hint });
  }
  const source = await findLinuxSource(PIN, signal);
  const made = [BUILDER_VERSION, source, await kernelSourceHash(arch), await toolVersions(arch, signal)];
  const key = createHash("sha256").update(JSON.stringify(made)).digest("hex");
  return {
    title: `micro kernel of ${source.name} ${source.version} (SHA-256 ${source.sha256})`,
    key,
    fetch: (options) => fetchMicroKernel({ source, arch }, keyWith(key, options.initramfs), options),
  };
}

/** The source that the configuration was made for. */
export const pinnedSource = async (): Promise<LinuxSource> => await readPin(PIN);

/** A kernel with another initramfs in it is another. */
const keyWith = (key: string, initramfs: Buffer | undefined): string =>
  initramfs === undefined ? key : createHash("sha256").update(key).update(initramfs).digest("hex");

/**
 * SHA-256 over the configuration and the patches.
 * @throws MicroVmError `ApplianceBuild` when the package came without them.
 */
export async function kernelSourceHash(arch: ApplianceArch = "x86_64"): Promise<string> {
  const hash = createHash("sha256");
  try {
    const configs = configsOf(arch);
    const names = (await readdir(OWN)).filter((name) => !/config$/.test(name) || configs.includes(name));
    for (const name of names.sort()) hash.update(`${name}\0`).update(await readFile(own(name)));
  } catch (cause) {
    throw new MicroVmError("ApplianceBuild", `The kernel's configuration is not at ${OWN}.`, { cause });
  }
  return hash.digest("hex");
}

/** In the order in which they are read; the later one's word counts. */
const configsOf = (arch: ApplianceArch): string[] => [
  "config",
  ...(arch === "x86_64" ? [] : [`${arch}.config`]),
];

/** Other tools make other code of the same source. */
async function toolVersions(arch: ApplianceArch, signal: AbortSignal | undefined): Promise<string[]> {
  const { prefix } = builds[arch];
  const versions = [`${prefix}gcc`, `${prefix}ld`, "lz4"].map((tool) =>
    run(tool, ["--version"], { signal, hint: HINT }),
  );
  return (await Promise.all(versions)).map((text) => text.toString());
}

/** The one in the cache, or one that is built now and kept there; several processes may do so at once. */
async function fetchMicroKernel(wanted: Wanted, key: string, options: FetchOptions): Promise<Kernel> {
  const finished = join(options.cacheDir, `linux-${key}`);
  const { image } = builds[wanted.arch];
  return await readKernel(finished, image).catch(async () => {
    await withTempDir(options.cacheDir, async (dir) => {
      const log = join(options.cacheDir, `linux-${key}.log`);
      const built = await build(wanted, dir, log, options);
      await rename(built, finished).catch(() => "another process was first");
    });
    return await readKernel(finished, image);
  });
}

async function readKernel(folder: string, image: string): Promise<Kernel> {
  const version = (await readFile(join(folder, "version"), "utf8")).trim();
  return { version, image: await readFile(join(folder, basename(image))), modules: [] };
}

interface Wanted {
  source: LinuxSource;
  arch: ApplianceArch;
}

/** Builds it below `dir`; returns a folder with the kernel as what starts and as an ELF, and its version. */
async function build(
  { source, arch }: Wanted,
  dir: string,
  log: string,
  { initramfs, signal, onProgress }: FetchOptions,
): Promise<string> {
  const { prefix, settings, targets, image } = builds[arch];
  await writeFile(log, "");
  onProgress?.(`getting ${source.name} ${source.version}`);
  const linux = await unpackLinuxSource(source, dir, { signal });
  const tell = { cwd: linux, log, signal, hint: HINT };
  const patches = (await readdir(OWN)).filter((name) => name.endsWith(".patch"));
  for (const name of patches.sort()) await run("patch", ["-p1", "--fuzz=0", "-i", own(name)], tell);
  if (initramfs) await writeFile(join(linux, "initramfs.cpio"), initramfs);
  await configure(linux, arch, tell);
  let steps = 0;
  const onLine = (line: string): void =>
    onProgress?.(`compiling Linux: step ${++steps}, ${line.slice(7).trim()}`);
  await make([...settings, `-j${availableParallelism()}`, ...targets], { ...tell, onLine });

  const built = join(dir, "built");
  await mkdir(built);
  await run(`${prefix}strip`, ["-o", join(built, "vmlinux"), join(linux, "vmlinux")], tell);
  await copyFile(join(linux, image), join(built, basename(image)));
  await copyFile(join(linux, "include/config/kernel.release"), join(built, "version"));
  return built;
}

/**
 * Writes the `.config` of a source, of which it takes no more than the files that Linux's own configuration reads.
 * @throws MicroVmError `ApplianceBuild` when the source drops an option.
 */
export async function configure(linux: string, arch: ApplianceArch, options: RunOptions): Promise<void> {
  const wanted = await readConfigs(arch);
  const config = join(linux, "wanted.config");
  await writeFile(config, wanted);
  await make([...builds[arch].settings, "allnoconfig", `KCONFIG_ALLCONFIG=${config}`], options);
  await assertConfigured(linux, wanted);
}

async function make(args: string[], options: RunOptions): Promise<void> {
  const settings = Object.entries(anonymous).map((pair) => pair.join("="));
  // From a make above this process there may be flags for it alone.
  await run("make", [...settings, ...args], { ...options, env: { MAKEFLAGS: undefined } });
}

/** The options of all that is read, each as it was said last. */
async function readConfigs(arch: ApplianceArch): Promise<string> {
  const texts = await Promise.all(configsOf(arch).map((name) => readFile(own(name), "utf8")));
  const options = texts.join("").matchAll(/^(?:# )?(CONFIG_\w+)(?:=.*| is not set)$/gm);
  return [...new Map([...options].map(([line, name]) => [name, `${line}\n`])).values()].join("");
}

/** Kconfig drops what lacks something without a word. */
async function assertConfigured(linux: string, wanted: string): Promise<void> {
  const result = new Set((await readFile(join(linux, ".config"), "utf8")).split("\n"));
  const dropped = wanted.split("\n").filter((line) => line.startsWith("CONFIG_") && !result.has(line));
  if (dropped.length === 0) return;
  throw new MicroVmError("ApplianceBuild", "This source cannot be configured as the micro kernel wants it.", {
    hint: HINT,
    evidence: dropped.join("\n"),
  });
}
