/** Linux as Debian packages its source: the version that the micro kernel was made for where it can be had, else the newest. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import { getPackage, unpackPackage } from "./package.js";
import { run } from "./run.js";

const HINT =
  "The micro kernel's source comes from Debian's packages: run `apt-get update` as root and check that the network is up.";

/** Graphics drivers are a third of the source; of them the build reads what is to be configured, and builds nothing. */
const SPARED = "*/drivers/gpu/drm/*.[ch]";

const sourceSchema = z.object({
  name: z.string(),
  version: z.string(),
  /** Of the package's file. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

export type LinuxSource = z.infer<typeof sourceSchema>;

/** The wanted package, which the file names. */
export const readPin = async (pin: string): Promise<LinuxSource> =>
  sourceSchema.parse(JSON.parse(await readFile(pin, "utf8")));

/**
 * The package to build from, by what the package lists say now. Asks no network.
 * @param pin the file that names the wanted one
 * @throws MicroVmError `ApplianceBuild` when this is no Debian or its package lists are missing.
 */
export async function findLinuxSource(pin: string, signal?: AbortSignal): Promise<LinuxSource> {
  const pinned = await readPin(pin);
  const known = await versionsOf(pinned.name, signal).catch(async (error: unknown) => {
    // A later release has another series, on which its metapackage depends.
    const [metapackage] = await versionsOf("linux-source", signal).catch(() => []);
    const name = /\blinux-source-[\d.]+\d/.exec(metapackage?.["Depends"] ?? "")?.[0];
    if (name === undefined) throw error;
    return await versionsOf(name, signal);
  });
  if (known.some(({ Version, SHA256 }) => Version === pinned.version && SHA256 === pinned.sha256))
    return pinned;
  const [newest] = known;
  const found = sourceSchema.safeParse({
    name: newest?.["Package"],
    version: newest?.["Version"],
    sha256: newest?.["SHA256"],
  });
  // Of a package that others only mention, apt says nothing, and of one that no list has, no hash.
  if (!found.success)
    throw new MicroVmError("ApplianceBuild", `apt can get no package ${pinned.name}.`, { hint: HINT });
  return found.data;
}

/** What the package lists say of each version that they know, the one that would be installed first. */
async function versionsOf(name: string, signal: AbortSignal | undefined): Promise<Record<string, string>[]> {
  const text = (await run("apt-cache", ["show", name], { signal, hint: HINT })).toString();
  const fields = (stanza: string) =>
    [...stanza.matchAll(/^([\w-]+): (.*)$/gm)].map(([, key, value]) => [key, value]);
  return text
    .split("\n\n")
    .filter((stanza) => stanza.trim() !== "")
    .map((stanza) => Object.fromEntries(fields(stanza)) as Record<string, string>);
}

/**
 * Gets the package and lays the source out in `folder`, which is there and empty. The package, large and of no more use, is not kept.
 * @param only patterns of the files that are wanted, as tar's wildcards; without, all that a build reads
 * @returns the source's top folder
 */
export async function unpackLinuxSource(
  source: LinuxSource,
  folder: string,
  { only = [], signal }: { only?: string[]; signal?: AbortSignal | undefined } = {},
): Promise<string> {
  const archive = await getPackage(source, { cacheDir: join(folder, "package"), signal, hint: HINT });
  const hash = createHash("sha256");
  await pipeline(createReadStream(archive), hash, { signal });
  const sha256 = hash.digest("hex");
  if (sha256 !== source.sha256)
    throw new MicroVmError(
      "ApplianceBuild",
      `${source.name} ${source.version} is not the package it was expected to be.`,
      {
        hint: "Run `apt-get update` as root: the package lists may be old.",
        evidence: `expected SHA-256 ${source.sha256}\ngot      SHA-256 ${sha256}`,
      },
    );
  await unpackPackage(archive, join(folder, "package"), signal);
  const sources = join(folder, "package", "usr", "src");
  const tarball = (await readdir(sources)).find((name) => /\.tar\.\w+$/.test(name));
  if (tarball === undefined) throw new MicroVmError("ApplianceBuild", `${source.name} holds no source.`);
  const top = join(folder, "linux");
  await mkdir(top);
  const how = ["-C", top, "--strip-components=1", "--exclude", SPARED];
  await run("tar", ["-xf", join(sources, tarball), ...how, "--wildcards", ...only], {
    signal,
    hint: "Install xz-utils.",
  });
  return top;
}
