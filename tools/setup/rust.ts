/** Rust and a C linker, for the appliance's init and the RVF tools. */
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { exists } from "./cache.js";
import { ask, run, which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { installPackages } from "./packages.js";
import { runVendorInstaller } from "./vendor.js";
import { atLeast, versionIn } from "./version.js";

/** What rvf-runtime 0.5.0 asks for. */
const oldest = "1.87";

/** Where the distribution's own Rust is kept new. Debian names the one that follows browsers `-web`. */
const packages = {
  "apt-get": "rustc-web cargo-web",
  dnf: "rust cargo",
  pacman: "rust",
  apk: "rust cargo",
  zypper: "rust cargo",
  brew: "rust",
};

/** Where rustfmt is a package of its own. */
const rustfmt = { "apt-get": "rustfmt-web", dnf: "rustfmt", apk: "rustfmt" };

const linker = {
  "apt-get": "gcc libc6-dev",
  dnf: "gcc glibc-static",
  pacman: "gcc",
  apk: "gcc musl-dev",
  zypper: "gcc glibc-devel-static",
};

let rust: Promise<string> | undefined;

/** The path of a cargo that is new enough, with a C linker and static libc. Callers at the same time share the work. */
export function ensureRust(report: Report): Promise<string> {
  report("waiting for Rust");
  return (rust ??= findOrInstall(report));
}

/** The path of a cargo whose `cargo fmt` works. Throws SetupError when rustfmt cannot be had. */
export async function ensureRustfmt(report: Report): Promise<string> {
  const cargo = await ensureRust(report);
  const works = async () => (await ask(cargo, ["fmt", "--version"])) !== undefined;
  if (await works()) return cargo;
  const rustup = join(dirname(cargo), "rustup");
  if (await exists(rustup)) await run(rustup, ["component", "add", "rustfmt"], { report });
  else await installPackages(rustfmt, report);
  if (!(await works())) throw new SetupError("cargo fmt does not work.");
  return cargo;
}

async function findOrInstall(report: Report): Promise<string> {
  if (!(await canLinkStatically())) await installPackages(linker, report);
  const found = await findCargo();
  if (found) return found;
  const hint = "Install Rust 1.87 or newer: https://rustup.rs (with rustup already there: rustup update)";
  if (await which("rustup", [cargoBin()]))
    throw new SetupError("rustup has no Rust 1.87 or newer.", { hint });
  try {
    await runVendorInstaller(
      "https://sh.rustup.rs",
      ["-y", "--no-modify-path", "--profile", "minimal"],
      report,
    );
  } catch (vendor) {
    report("rustup's installer is out of reach, trying the system's packages");
    await installPackages(packages, report).catch((cause: unknown) => {
      throw new SetupError("Rust 1.87 or newer could not be installed.", {
        hint,
        evidence: reasons(vendor, cause),
      });
    });
  }
  const installed = await findCargo();
  if (installed === undefined)
    throw new SetupError("The Rust that was installed is older than 1.87.", { hint });
  return installed;
}

const reasons = (...errors: unknown[]): string => errors.map((error) => (error as Error).message).join("\n");

const cargoBin = (): string => join(process.env["CARGO_HOME"] ?? join(homedir(), ".cargo"), "bin");

/** The first cargo on PATH or in rustup's folder whose rustc is new enough. */
async function findCargo(): Promise<string | undefined> {
  for (const cargo of [await which("cargo"), join(cargoBin(), "cargo")]) {
    const version = cargo && versionIn(await ask(join(dirname(cargo), "rustc"), ["--version"]));
    if (cargo && version && atLeast(version, oldest)) return cargo;
  }
  return undefined;
}

/** A compiler answers with the file's bare name when it does not have it. */
async function canLinkStatically(): Promise<boolean> {
  return (await ask("cc", ["-print-file-name=libc.a"]))?.startsWith("/") ?? false;
}
