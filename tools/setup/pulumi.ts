/** Pulumi's CLI with its language host for Node programs. */
import { copyFile, mkdir, readFile, realpath, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeOnce, toolDir } from "./cache.js";
import { ask, run, which, type Report } from "./command.js";
import { describe, SetupError } from "./error.js";
import { ensureGo } from "./go.js";
import type { Part } from "./part.js";
import { fromRepository } from "./repository.js";
import { runVendorInstaller } from "./vendor.js";
import { versionIn } from "./version.js";

/** The newest CLI and language host whose modules build by themselves. */
const built = { cli: "3.200.0", languageHost: "3.68.0" };

/** The user's own CLI, else one made earlier, else the vendor's installer, else a build from the published modules. */
export async function ensurePulumi(report: Report): Promise<Part> {
  const own = await which("pulumi");
  const vendorDir = toolDir(`pulumi-${await sdkVersion()}`);
  const builtDir = toolDir(`pulumi-${built.cli}-built`);
  for (const folder of [own && dirname(own), join(vendorDir, "bin"), join(builtDir, "bin")]) {
    const version = folder && (await workingVersion(folder));
    if (version) return part(folder, `found ${version}`);
  }
  const failures: string[] = [];
  for (const [target, make] of [
    [vendorDir, installFromVendor],
    [builtDir, build],
  ] as const) {
    try {
      await makeOnce(target, async (folder) => await make(folder, report));
      const version = await workingVersion(join(target, "bin"));
      if (version) return part(join(target, "bin"), `installed ${version}`);
      failures.push(`${target} does not answer to "pulumi version"`);
    } catch (error) {
      failures.push(describe(error));
    }
  }
  throw new SetupError("Pulumi's CLI could not be installed.", {
    evidence: failures.join("\n"),
    hint: "Install it by hand: curl -fsSL https://get.pulumi.com | sh",
  });
}

const part = (folder: string, what: string): Part => ({ summary: `${what}, ${folder}`, path: [folder] });

/** The version of the CLI in a folder when it runs and has its language host beside it or on PATH. */
async function workingVersion(folder: string): Promise<string | undefined> {
  const answer = await ask(join(folder, "pulumi"), ["version"], { PULUMI_SKIP_UPDATE_CHECK: "true" });
  if (!answer?.startsWith("v3.")) return undefined;
  const beside = dirname(await realpath(join(folder, "pulumi")));
  const host = await which("pulumi-language-nodejs", [folder, beside]);
  return host && versionIn(answer);
}

/** The version of the SDK that the repository is developed with. */
async function sdkVersion(): Promise<string> {
  const manifest = await readFile(fromRepository("node_modules/@pulumi/pulumi/package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

async function installFromVendor(folder: string, report: Report): Promise<void> {
  const args = ["--install-root", folder, "--no-edit-path", "--version", await sdkVersion()];
  await runVendorInstaller("https://get.pulumi.com", args, report);
}

/**
 * Builds both programs from the Go modules. `go install` refuses the CLI's module because of replacements in its
 * go.mod, so each gets a module of its own that repeats them.
 */
async function build(folder: string, report: Report): Promise<void> {
  const go = await ensureGo(report);
  const bin = join(folder, "bin");
  const compile = async (name: string, goMod: string, packagePath: string, flags: string[]) => {
    const module = join(folder, `${name}-module`);
    await mkdir(module, { recursive: true });
    await writeFile(join(module, "go.mod"), goMod);
    report(`building ${name}, some minutes the first time`);
    const args = ["build", "-v", ...flags, "-o", join(bin, name), packagePath];
    await run(go, args, { cwd: module, env: { GOFLAGS: "-mod=mod", GOTOOLCHAIN: "local" }, report });
  };
  const sdk = "github.com/pulumi/pulumi/sdk/v3";
  const stamp = `-s -w -X ${sdk}/go/common/version.Version=v${built.cli}`;
  await compile("pulumi", cliModule, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", ["-ldflags", stamp]);
  await compile("pulumi-language-nodejs", hostModule, `${sdk}/nodejs/cmd/pulumi-language-nodejs`, [
    "-ldflags",
    "-s -w",
  ]);
  // As in the vendor's own packages: the engine's Node plugin, which finds the program's SDK by itself.
  const plugin = "pulumi-resource-pulumi-nodejs";
  await copyFile(fromRepository(`node_modules/@pulumi/pulumi/${plugin}`), join(bin, plugin));
}

const cliModule = `module pulumi-cli
go 1.23.11
require github.com/pulumi/pulumi/pkg/v3 v${built.cli}
replace github.com/sergi/go-diff => github.com/sergi/go-diff v1.1.0
replace github.com/atotto/clipboard => github.com/tgummerer/clipboard v0.0.0-20241001131231-d02d263e614e
`;

const hostModule = `module pulumi-language-host
go 1.23.11
require github.com/pulumi/pulumi/sdk/v3 v${built.languageHost}
`;
