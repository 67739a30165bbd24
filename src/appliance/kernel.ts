/** Gets Debian's packaged cloud kernel without installing it, and out of it what a microVM needs. */
import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { MicroVmError } from "../errors.js";
import { loadOrder, moduleDepends, moduleName } from "./modules.js";
import { run } from "./run.js";
import { withTempDir } from "./temp.js";

/** Debian's metapackage, which depends on the newest cloud kernel. */
const METAPACKAGE = "linux-image-cloud-amd64";

const HINT =
  "The kernel comes from Debian's packages: run `apt-get update` as root, check that the network is up, or set " +
  "`kernelPath` to a kernel of your own.";

/** microVM devices and what switches them off. The random device comes first, because the rest of the boot needs it. */
const WANTED = [
  "virtio_mmio",
  "virtio_rng",
  "virtio_blk",
  "virtio_net",
  "virtio_console",
  "button",
  "evdev",
] as const;

export interface KernelPackage {
  name: string;
  version: string;
}

export interface KernelModule {
  name: string;
  depends: readonly string[];
  /** The module itself, an ELF file, not compressed. */
  data: Buffer;
}

export interface Kernel {
  /** As `uname -r` tells it. */
  version: string;
  /** The bzImage with its signature. */
  image: Buffer;
  /** In the order in which they can be loaded. */
  modules: KernelModule[];
}

/**
 * The kernel package that the host's package lists name now. Asks no network.
 * @throws MicroVmError `ApplianceBuild` when this is no Debian or its package lists are missing.
 */
export async function findKernelPackage(signal?: AbortSignal): Promise<KernelPackage> {
  const args = ["show", "--no-all-versions", METAPACKAGE];
  const text = (await run("apt-cache", args, { signal, hint: HINT })).toString();
  const found = /^Depends:.*?\b(?<name>linux-image-\d\S*) \(= (?<version>[^)]+)\)/m.exec(text)?.groups;
  if (!found?.["name"] || !found["version"]) {
    throw new MicroVmError("ApplianceBuild", `${METAPACKAGE} depends on no kernel package.`, {
      hint: HINT,
      evidence: text,
    });
  }
  return { name: found["name"], version: found["version"] };
}

/**
 * Downloads the package (apt checks its signature chain), or takes it from `cacheDir`, and unpacks it.
 * @throws MicroVmError `ApplianceBuild` when it cannot be had or lacks something.
 */
export async function fetchKernel(
  kernelPackage: KernelPackage,
  { cacheDir, signal }: { cacheDir: string; signal?: AbortSignal | undefined },
): Promise<Kernel> {
  const archive = await download(kernelPackage, cacheDir, signal);
  return withTempDir(cacheDir, async (root) => {
    await run("dpkg-deb", ["-x", archive, root], { signal, hint: `Delete ${archive} and try again.` });
    const boot = join(root, "boot");
    const file = (await readdir(boot)).find((name) => name.startsWith("vmlinuz-"));
    if (!file) throw new MicroVmError("ApplianceBuild", `${kernelPackage.name} holds no kernel.`);
    const version = file.slice("vmlinuz-".length);
    // Newer packages keep to /usr.
    const libs = [join(root, "lib/modules", version), join(root, "usr/lib/modules", version)];
    const listings = await Promise.all(libs.map((lib) => readdir(lib, { recursive: true }).catch(() => [])));
    const files = libs.flatMap((lib, index) => (listings[index] ?? []).map((name) => join(lib, name)));
    return { version, image: await readFile(join(boot, file)), modules: await readModules(files, signal) };
  });
}

async function download(
  { name, version }: KernelPackage,
  cacheDir: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  await mkdir(cacheDir, { recursive: true });
  const archiveName = `${name}_${version.replaceAll(":", "%3a")}.deb`;
  if ((await readdir(cacheDir)).includes(archiveName)) return join(cacheDir, archiveName);
  return withTempDir(cacheDir, async (dir) => {
    // As root apt would hand the download to a user who cannot write to the cache.
    const args = ["-o", "APT::Sandbox::User=root", "download", `${name}=${version}`];
    await run("apt-get", args, { cwd: dir, signal, hint: HINT });
    const archive = (await readdir(dir)).find((file) => file.endsWith(".deb"));
    if (!archive)
      throw new MicroVmError("ApplianceBuild", `apt-get left no package ${name}.`, { hint: HINT });
    await rename(join(dir, archive), join(cacheDir, archiveName));
    return join(cacheDir, archiveName);
  });
}

/** Reads the wanted modules and all they depend on; what is built into the kernel is left out. */
async function readModules(
  files: readonly string[],
  signal: AbortSignal | undefined,
): Promise<KernelModule[]> {
  const byName = new Map(
    files.filter((file) => /\.ko(\.xz)?$/.test(file)).map((file) => [moduleName(file), file]),
  );
  const list = files.find((file) => file.endsWith("/modules.builtin"));
  const builtin = new Set(list ? (await readFile(list, "utf8")).trim().split("\n").map(moduleName) : []);

  const modules = new Map<string, KernelModule>();
  const pending: string[] = [...WANTED];
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
