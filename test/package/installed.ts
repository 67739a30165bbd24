/** The package as users get it: packed, and installed into a folder outside the repository that has nothing else. */
import { cp, mkdir, readdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const require = createRequire(import.meta.url);

/** The SDK that the repository is developed with. */
export const sdkVersion = (require("@pulumi/pulumi/package.json") as { version: string }).version;

export interface Installed {
  /** Holds `node_modules`, and below it the fixture projects. */
  dir: string;
  /** Every file of the tarball, relative to the package's folder. */
  files: string[];
  /** Runs a command in `dir`, or a folder in it, and returns its standard output. Throws with all of its words. */
  run: (command: string, args: string[], folder?: string) => Promise<string>;
  /** A program out of the repository's own tools, to be run by node. */
  tool: (path: string) => string;
}

/** `sdk` is the version of @pulumi/pulumi to install beside the package. */
export async function installPackage(dir: string, sdk = sdkVersion): Promise<Installed> {
  // What `npm test` tells its children about the repository is not for an npm elsewhere.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([key]) => !/^npm_(package|lifecycle|config_local)|^INIT_CWD/.test(key),
    ),
  );
  const run = async (command: string, args: string[], folder = ".") => {
    const cwd = join(dir, folder);
    const options = { cwd, env: { ...env, NODE_OPTIONS: "" }, extendEnv: false, stdin: "ignore" } as const;
    return (await execa(command, args, { ...options, timeout: 150_000 })).stdout;
  };

  await mkdir(dir, { recursive: true });
  await cp(join(repository, "test/fixtures/projects"), dir, { recursive: true });
  await writeFile(join(dir, "package.json"), '{ "name": "outside", "private": true }\n');
  await run("npm", ["pack", "--silent", "--pack-destination", dir, repository]);
  const tarball = (await readdir(dir)).find((name) => name.endsWith(".tgz"))!;
  const flags = ["--prefer-offline", "--no-audit", "--no-fund", "--silent"];
  await run("npm", ["install", ...flags, `./${tarball}`, `@pulumi/pulumi@${sdk}`]);

  const list = (await run("tar", ["-tzf", tarball])).split("\n");
  return {
    dir,
    files: list.map((name) => name.replace("package/", "")).sort(),
    run,
    tool: (path) => join(repository, "node_modules", path),
  };
}
