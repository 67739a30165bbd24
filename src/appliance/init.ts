/** Compiles the guest's `/init` from the Rust crate in `guest/init`. */
import { createHash } from "node:crypto";
import { access, mkdir, readdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import writeFileAtomic from "write-file-atomic";
import { MicroVmError } from "../errors.js";
import type { ApplianceArch } from "./arch.js";
import { run } from "./run.js";

/** Two levels up both from the sources and from the built package. */
const CRATE = fileURLToPath(new URL("../../guest/init", import.meta.url));

/** Rust writes into a program where the sources of its parts lie: under this name, whoever builds it. */
const HOME_OF_ALL = "/cargo";

/** As Rust names it. */
export const rustTarget = (arch: ApplianceArch): string => `${arch}-unknown-linux-gnu`;

const HINTS: Record<ApplianceArch, string> = {
  x86_64:
    `The guest needs Rust 1.87 or newer with the target ${rustTarget("x86_64")}; rustup installs it where the ` +
    "system's own is older.",
  aarch64:
    `The guest needs Rust 1.87 or newer with the target ${rustTarget("aarch64")} (rustup target add) and, to link ` +
    "it, aarch64-linux-gnu-gcc (apt-get install gcc-aarch64-linux-gnu).",
};

export interface BuildInitOptions {
  /** Holds the finished binary and cargo's work. */
  cacheDir: string;
  /** @default "x86_64" */
  arch?: ApplianceArch | undefined;
  /** @default "cargo" from PATH */
  cargo?: string | undefined;
  /** Added to cargo's environment. */
  env?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Gets what cargo is doing, a line at a time. */
  onProgress?: ((text: string) => void) | undefined;
}

/**
 * SHA-256 over the names and contents of everything the binary is made of.
 * @throws MicroVmError `ApplianceBuild` when the package came without the guest's sources.
 */
export async function guestSourceHash(): Promise<string> {
  const hash = createHash("sha256");
  try {
    const sources = (await readdir(join(CRATE, "src"))).sort().map((name) => `src/${name}`);
    for (const name of ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", ...sources]) {
      const content = await readFile(join(CRATE, name));
      hash.update(`${name}\0${content.length}\0`).update(content);
    }
  } catch (cause) {
    throw new MicroVmError("ApplianceBuild", `The guest's sources are not at ${CRATE}.`, { cause });
  }
  return hash.digest("hex");
}

/**
 * Returns the path of the static binary, built now or, for the same sources, before.
 * @throws MicroVmError `ApplianceBuild` with cargo's last lines; `Cancelled`.
 */
export async function buildInit(options: BuildInitOptions): Promise<string> {
  const { cacheDir, arch = "x86_64", cargo = "cargo", env, signal, onProgress } = options;
  const target = rustTarget(arch);
  const finished = join(cacheDir, `init-${arch === "x86_64" ? "" : `${arch}-`}${await guestSourceHash()}`);
  if (await exists(finished)) return finished;
  const targetDir = join(cacheDir, "cargo-target");
  await mkdir(targetDir, { recursive: true });
  const home = env?.["CARGO_HOME"] ?? process.env["CARGO_HOME"] ?? join(homedir(), ".cargo");
  // Beside the crate's own flags, in whose place those of the environment would come.
  const anonymous = `target.${target}.rustflags=${JSON.stringify([`--remap-path-prefix=${home}=${HOME_OF_ALL}`])}`;
  await run(cargo, ["build", "--release", "--locked", "--target", target, "--config", anonymous], {
    cwd: CRATE,
    // These would take the place of the crate's own flags, which make the binary static.
    env: { ...env, CARGO_TARGET_DIR: targetDir, RUSTFLAGS: undefined, CARGO_ENCODED_RUSTFLAGS: undefined },
    signal,
    onLine: (line) => onProgress?.(line.trim()),
    hint: HINTS[arch],
  });
  await writeFileAtomic(finished, await readFile(join(targetDir, target, "release", "init")), {
    mode: 0o755,
  });
  return finished;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
