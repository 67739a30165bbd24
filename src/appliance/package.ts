/** Debian's packages, got and taken apart without installing them. */
import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { MicroVmError } from "../errors.js";
import { run } from "./run.js";
import { withTempDir } from "./temp.js";

export interface Package {
  name: string;
  /** The newest known one when absent. */
  version?: string;
}

export interface GetOptions {
  /** Keeps the package. */
  cacheDir: string;
  /** For apt beside the system's configuration, for example to ask for another architecture. @default none */
  aptOptions?: readonly string[] | undefined;
  signal?: AbortSignal | undefined;
  /** What to do when it cannot be had. */
  hint: string;
}

/**
 * Downloads the package (apt checks its signature chain), or takes the one of this very version from `cacheDir`.
 * @returns the path of its file
 * @throws MicroVmError `ApplianceBuild` when it cannot be had.
 */
export async function getPackage({ name, version }: Package, options: GetOptions): Promise<string> {
  const { cacheDir, aptOptions = [], signal, hint } = options;
  await mkdir(cacheDir, { recursive: true });
  const kept = version && `${name}_${version.replaceAll(":", "%3a")}.deb`;
  if (kept && (await readdir(cacheDir)).includes(kept)) return join(cacheDir, kept);
  return withTempDir(cacheDir, async (dir) => {
    // As root apt would hand the download to a user who cannot write to the cache.
    const sandbox = ["-o", "APT::Sandbox::User=root"];
    const wanted = version ? `${name}=${version}` : name;
    await run("apt-get", [...aptOptions, ...sandbox, "download", wanted], { cwd: dir, signal, hint });
    const archive = (await readdir(dir)).find((file) => file.endsWith(".deb"));
    if (!archive) throw new MicroVmError("ApplianceBuild", `apt-get left no package ${name}.`, { hint });
    const path = join(cacheDir, kept ?? archive);
    await rename(join(dir, archive), path);
    return path;
  });
}

/** Lays the package's files out below `root`. Throws MicroVmError `ApplianceBuild` when it is damaged. */
export async function unpackPackage(archive: string, root: string, signal?: AbortSignal): Promise<void> {
  await run("dpkg-deb", ["-x", archive, root], { signal, hint: `Delete ${archive} and try again.` });
}
