/** Compiles the guest's `/init` from the Rust crate in `guest/init`. */
import { createHash } from "node:crypto";
import { access, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import writeFileAtomic from "write-file-atomic";
import { MicroVmError } from "../errors.js";
import { run } from "./run.js";

/** Two levels up both from the sources and from the built package. */
const CRATE = fileURLToPath(new URL("../../guest/init", import.meta.url));
const TARGET = "x86_64-unknown-linux-gnu";

const HINT =
  "The guest needs Rust 1.87 or newer with the target x86_64-unknown-linux-gnu; rustup installs it where the " +
  "system's own is older.";

export interface BuildInitOptions {
  /** Holds the finished binary and cargo's work. */
  cacheDir: string;
  /** @default "cargo" from PATH */
  cargo?: string | undefined;
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
export async function buildInit({ cacheDir, cargo, signal, onProgress }: BuildInitOptions): Promise<string> {
  const finished = join(cacheDir, `init-${await guestSourceHash()}`);
  if (await exists(finished)) return finished;
  const targetDir = join(cacheDir, "cargo-target");
  await mkdir(targetDir, { recursive: true });
  await run(cargo ?? "cargo", ["build", "--release", "--locked", "--target", TARGET], {
    cwd: CRATE,
    // These would take the place of the crate's own flags, which make the binary static.
    env: { CARGO_TARGET_DIR: targetDir, RUSTFLAGS: undefined, CARGO_ENCODED_RUSTFLAGS: undefined },
    signal,
    onLine: (line) => onProgress?.(line.trim()),
    hint: HINT,
  });
  await writeFileAtomic(finished, await readFile(join(targetDir, TARGET, "release", "init")), {
    mode: 0o755,
  });
  return finished;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
