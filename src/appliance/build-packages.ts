/** What a build of Linux needs of this host. */
import type { ApplianceArch } from "./arch.js";
import { run } from "./run.js";

/** Programs that it runs, and the Debian package of each. */
const programs: Readonly<Record<string, string>> = {
  gcc: "gcc",
  ld: "binutils",
  make: "make",
  flex: "flex",
  bison: "bison",
  bc: "bc",
  lz4: "lz4",
  patch: "patch",
  xz: "xz-utils",
};

/** What another architecture's Linux is compiled and linked with. */
const crossPrograms: Record<ApplianceArch, Readonly<Record<string, string>>> = {
  x86_64: {},
  aarch64: {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "aarch64-linux-gnu-ld": "binutils-aarch64-linux-gnu",
  },
};

/** One of libelf's own headers, which includes those of the C library. */
const HEADER = "gelf.h";
const headers = ["libelf-dev", "libc6-dev"];

/** The Debian packages that are to be installed before one can be built, empty when it can. */
export async function missingBuildPackages(
  signal?: AbortSignal,
  arch: ApplianceArch = "x86_64",
): Promise<string[]> {
  const hint = "";
  const needed = { ...programs, ...crossPrograms[arch] };
  const ask = 'for name; do command -v "$name" >&2 || echo "$name"; done';
  const names = (
    await run("/bin/sh", ["-c", ask, "sh", ...Object.keys(needed)], { signal, hint })
  ).toString();
  const missing = names.split("\n").flatMap((name) => needed[name] ?? []);
  const compiles = await run("gcc", ["-fsyntax-only", "-include", HEADER, "-x", "c", "/dev/null"], {
    signal,
    hint,
  }).then(
    () => true,
    () => false,
  );
  return compiles ? missing : [...missing, ...headers];
}
