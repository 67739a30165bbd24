/** What a build of Linux needs of this host. */
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

/** One of libelf's own headers, which includes those of the C library. */
const HEADER = "gelf.h";
const headers = ["libelf-dev", "libc6-dev"];

/** The Debian packages that are to be installed before one can be built, empty when it can. */
export async function missingBuildPackages(signal?: AbortSignal): Promise<string[]> {
  const hint = "";
  const ask = 'for name; do command -v "$name" >&2 || echo "$name"; done';
  const names = (
    await run("/bin/sh", ["-c", ask, "sh", ...Object.keys(programs)], { signal, hint })
  ).toString();
  const missing = names.split("\n").flatMap((name) => programs[name] ?? []);
  const compiles = await run("gcc", ["-fsyntax-only", "-include", HEADER, "-x", "c", "/dev/null"], {
    signal,
    hint,
  }).then(
    () => true,
    () => false,
  );
  return compiles ? missing : [...missing, ...headers];
}
