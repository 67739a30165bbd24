/** Go, only needed where Pulumi's CLI has to be built. */
import { chmod, readdir } from "node:fs/promises";
import { join } from "node:path";
import { ask, run, which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { installPackages } from "./packages.js";
import { atLeast, versionIn } from "./version.js";

/** What the module of Pulumi's CLI asks for. */
const oldest = "1.23.11";

/** The Go that an older one fetches. The Go project publishes its toolchains as modules, checked by the checksum database. */
const toolchain = "1.26.8";

const packages = {
  "apt-get": "golang-go ca-certificates",
  dnf: "golang",
  pacman: "go",
  apk: "go",
  zypper: "go",
  brew: "go",
};

/** The path of a Go that is new enough: the one here, the system's package, or one fetched by an older Go. */
export async function ensureGo(report: Report): Promise<string> {
  let go = await which("go", ["/usr/local/go/bin"]);
  if (go === undefined) {
    await installPackages(packages, report);
    go = await which("go");
  }
  const version = go && versionIn(await ask(go, ["env", "GOVERSION"]));
  if (go === undefined || version === undefined) {
    throw new SetupError("Go is missing.", { hint: "Install Go 1.24 or newer: https://go.dev/doc/install" });
  }
  return atLeast(version, oldest) ? go : await fetchToolchain(go, report);
}

async function fetchToolchain(go: string, report: Report): Promise<string> {
  const [os, arch] = ((await ask(go, ["env", "GOOS", "GOARCH"])) ?? "").split("\n");
  const module = `golang.org/toolchain@v0.0.1-go${toolchain}.${os}-${arch}`;
  report(`fetching ${module}`);
  // Its own words go to stderr; outside of any module, and without settings that would forbid it.
  await run(go, ["mod", "download", module], { cwd: "/", env: { GOFLAGS: "" }, report });
  const folder = join((await ask(go, ["env", "GOMODCACHE"])) ?? "", module);
  await makeExecutable(join(folder, "bin"));
  await makeExecutable(join(folder, "pkg", "tool", `${os}_${arch}`));
  return join(folder, "bin", "go");
}

/** Modules have no executable files; a Go that does not know toolchains (before 1.21) leaves it at that. */
async function makeExecutable(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await chmod(join(folder, name), 0o555);
}
