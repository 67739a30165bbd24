/** Gets Debian's packaged cloud kernel without installing it, and out of it what a microVM needs. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { MicroVmError } from "../errors.js";
import type { Kernel, KernelModule, KernelSource } from "./kernel.js";
import { loadOrder, moduleDepends, moduleName } from "./modules.js";
import { getPackage, unpackPackage, type GetOptions, type Package } from "./package.js";
import { run } from "./run.js";
import { withTempDir } from "./temp.js";

/** In Debian's spelling. */
export type KernelArch = "amd64" | "arm64";

const HINT =
  "The kernel comes from Debian's packages: run `apt-get update` as root, check that the network is up, or set " +
  "`kernelPath` to a kernel of your own.";

/** microVM devices. The random device comes first, because the rest of the boot needs it. */
const DEVICES = ["virtio_mmio", "virtio_rng", "virtio_blk", "virtio_net", "virtio_console", "evdev"];

/** Those, and what switches a machine off and tells its panic. */
const WANTED: Record<KernelArch, readonly string[]> = {
  amd64: [...DEVICES, "button", "pvpanic_mmio"],
  arm64: [...DEVICES, "gpio_keys"],
};

/** Each depends on the newest kernel of its kind. The cloud kernel is the smaller, but for arm64 it knows no power button. */
const METAPACKAGES: Record<KernelArch, string> = {
  amd64: "linux-image-cloud-amd64",
  arm64: "linux-image-arm64",
};

export type KernelPackage = Required<Package>;

export interface FindOptions extends Pick<GetOptions, "aptOptions" | "signal"> {
  /** Any but the host's needs `aptOptions` that ask for it. @default "amd64" */
  arch?: KernelArch;
}

/** Debian's newest cloud kernel. */
export async function findPackagedKernel(signal?: AbortSignal): Promise<KernelSource> {
  const found = await findKernelPackage({ signal });
  return {
    title: `kernel ${found.name} ${found.version}`,
    key: JSON.stringify(found),
    fetch: ({ cacheDir, signal: either }) => fetchKernel(found, { cacheDir, signal: either }),
  };
}

/**
 * The kernel package that the package lists name now. Asks no network.
 * @throws MicroVmError `ApplianceBuild` when this is no Debian or its package lists are missing.
 */
export async function findKernelPackage(options: FindOptions = {}): Promise<KernelPackage> {
  const { arch = "amd64", aptOptions = [], signal } = options;
  const metapackage = METAPACKAGES[arch];
  const args = [...aptOptions, "show", "--no-all-versions", metapackage];
  const text = (await run("apt-cache", args, { signal, hint: HINT })).toString();
  const found = /^Depends:.*?\b(?<name>linux-image-\d\S*) \(= (?<version>[^)]+)\)/m.exec(text)?.groups;
  if (!found?.["name"] || !found["version"]) {
    throw new MicroVmError("ApplianceBuild", `${metapackage} depends on no kernel package.`, {
      hint: HINT,
      evidence: text,
    });
  }
  return { name: found["name"], version: found["version"] };
}

export interface FetchKernelOptions extends Omit<GetOptions, "hint">, Pick<FindOptions, "arch"> {
  /** Modules beside those of a microVM. @default none */
  more?: readonly string[];
}

/**
 * Gets the package and unpacks it.
 * @throws MicroVmError `ApplianceBuild` when it cannot be had or lacks something.
 */
export async function fetchKernel(
  kernelPackage: KernelPackage,
  options: FetchKernelOptions,
): Promise<Kernel> {
  const { arch = "amd64", more = [], cacheDir, signal } = options;
  const archive = await getPackage(kernelPackage, { ...options, hint: HINT });
  return withTempDir(cacheDir, async (root) => {
    await unpackPackage(archive, root, signal);
    const boot = join(root, "boot");
    const file = (await readdir(boot)).find((name) => name.startsWith("vmlinuz-"));
    if (!file) throw new MicroVmError("ApplianceBuild", `${kernelPackage.name} holds no kernel.`);
    const version = file.slice("vmlinuz-".length);
    // Newer packages keep to /usr.
    const libs = [join(root, "lib/modules", version), join(root, "usr/lib/modules", version)];
    const listings = await Promise.all(libs.map((lib) => readdir(lib, { recursive: true }).catch(() => [])));
    const files = libs.flatMap((lib, index) => (listings[index] ?? []).map((name) => join(lib, name)));
    return {
      version,
      image: await readFile(join(boot, file)),
      modules: await readModules([...WANTED[arch], ...more], files, signal),
    };
  });
}

/** Reads the wanted modules and all they depend on; what is built into the kernel is left out. */
async function readModules(
  wanted: readonly string[],
  files: readonly string[],
  signal: AbortSignal | undefined,
): Promise<KernelModule[]> {
  const byName = new Map(
    files.filter((file) => /\.ko(\.xz)?$/.test(file)).map((file) => [moduleName(file), file]),
  );
  const list = files.find((file) => file.endsWith("/modules.builtin"));
  const builtin = new Set(list ? (await readFile(list, "utf8")).trim().split("\n").map(moduleName) : []);

  const modules = new Map<string, KernelModule>();
  const pending = [...wanted];
  for (const name of pending) {
    if (modules.has(name) || builtin.has(name)) continue;
    const file = byName.get(name);
    if (!file) throw new MicroVmError("ApplianceBuild", `The kernel package holds no module ${name}.`);
    const hint = "Install xz-utils.";
    const data = file.endsWith(".xz")
      ? await run("xz", ["-dc", file], { signal, hint })
      : await readFile(file);
    const depends = moduleDepends(data);
    modules.set(name, { name, depends, data });
    pending.push(...depends);
  }
  return loadOrder([...modules.values()]);
}
