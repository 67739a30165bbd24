/** A Rust that compiles for aarch64: the one that is there, or Debian's, taken apart without installing it. */
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MicroVmError } from "../../src/errors.js";
import { rustTarget } from "../../src/appliance/init.js";
import { getPackage, unpackPackage } from "../../src/appliance/package.js";
import { arm64Lists } from "./arm64-lists.js";
import { exists } from "./cache.js";
import { ask, which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { installPackages } from "./packages.js";
import { ensureRust } from "./rust.js";
import { atLeast, versionIn } from "./version.js";

const HINT = "rustup target add aarch64-unknown-linux-gnu brings it where rustup's servers can be reached.";

/**
 * The path of a cargo.
 * @param work a folder for what is needed during the build only
 * @throws SetupError where there is none to be had
 */
export async function cargoForAarch64(work: string, report: Report): Promise<string> {
  const cargo = await ensureRust(report);
  if (!(await which("aarch64-linux-gnu-gcc")))
    await installPackages({ "apt-get": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross" }, report);
  if (await hasTarget(join(dirname(cargo), "rustc"))) return cargo;
  try {
    const rustc = await debiansRust(work, report);
    return await program(join(work, "cargo"), `RUSTC=${quoted(rustc)} exec ${quoted(cargo)} "$@"`);
  } catch (error) {
    if (!(error instanceof MicroVmError)) throw error;
    throw new SetupError("There is no Rust for aarch64.", {
      hint: HINT,
      evidence: error.message,
      cause: error,
    });
  }
}

async function hasTarget(rustc: string): Promise<boolean> {
  const folder = await ask(rustc, ["--print", "target-libdir", "--target", rustTarget("aarch64")]);
  return folder !== undefined && (await exists(folder));
}

/** The compiler for this host, its standard library for both, and its LLVM, all of one version. Returns the path of a rustc. */
async function debiansRust(work: string, report: Report): Promise<string> {
  report("getting Debian's Rust for aarch64");
  const root = join(work, "rust");
  const unpack = async (name: string, aptOptions: readonly string[] = []): Promise<void> => {
    const options = {
      cacheDir: join(work, "packages", aptOptions.length > 0 ? "arm64" : "host"),
      aptOptions,
    };
    await unpackPackage(await getPackage({ name }, { ...options, hint: HINT }), root);
  };
  const library = "libstd-rust-web-dev";
  for (const name of ["rustc-web", library, ...(await sharedLibraries(library))]) await unpack(name);
  await unpack(library, await arm64Lists(join(work, "apt"), report));

  const folders = join(root, "usr/lib/x86_64-linux-gnu");
  const call = `LD_LIBRARY_PATH=${quoted(folders)} exec ${quoted(join(root, "usr/bin/rustc"))} "$@"`;
  const rustc = await program(join(work, "rustc"), call);
  const version = versionIn(await ask(rustc, ["--version"]));
  if (!version || !atLeast(version, "1.87") || !(await hasTarget(rustc)))
    throw new SetupError("Debian's Rust does not work here, or is older than 1.87.", { hint: HINT });
  return rustc;
}

/** Writes a line of shell as a program; returns its path. */
async function program(path: string, line: string): Promise<string> {
  await writeFile(path, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  return path;
}

/** As one word for a shell. */
const quoted = (path: string): string => `'${path.replaceAll("'", "'\\''")}'`;

/** The packages of the compiler's own libraries, whose names carry versions. */
async function sharedLibraries(name: string): Promise<string[]> {
  const depends = async (of: string) => (await ask("apt-cache", ["depends", "--no-recommends", of])) ?? "";
  const [own] = /\blibstd-rust-web-[\d.]+\b/.exec(await depends(name)) ?? [];
  const [llvm] = (own && /\blibllvm\d+\b/i.exec(await depends(own))) || [];
  return [own, llvm].filter((each) => each !== undefined);
}
