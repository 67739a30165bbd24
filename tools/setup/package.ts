/** The package itself, compiled into dist/ as users get it. */
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { exists } from "./cache.js";
import { run, type Report } from "./command.js";
import type { Part } from "./part.js";
import { fromRepository } from "./repository.js";

const dist = fromRepository("dist");

/** What is imported of it, or run: package.json's exports and command, and the room that a benchmark measures alone. */
const entries = ["provider/index.ts", "launcher/index.ts", "rvf/index.ts", "cli/main.ts"];

/** Says what dist/ was made of. */
const stamp = fromRepository(".cache/dist.sha256");

export async function ensurePackage(report: Report): Promise<Part> {
  const wanted = await fingerprint();
  const present = (await exists(dist)) && (await readFile(stamp, "utf8").catch(() => "")) === wanted;
  if (!present) {
    await compile(report);
    await writeFile(stamp, wanted);
  }
  await linkCommand();
  return { summary: `${present ? "found" : "compiled"}, ${dist}` };
}

/** For `npx microvm`: npm has made the link only where dist/ was there when it installed. */
async function linkCommand(): Promise<void> {
  const link = fromRepository("node_modules/.bin/microvm");
  if (await exists(link)) return;
  await rm(link, { force: true });
  await symlink(join(dist, "cli", "main.js"), link);
}

/** The sources, how they are compiled, and by which versions. */
async function fingerprint(): Promise<string> {
  const sources = await readdir(fromRepository("src"), { recursive: true, withFileTypes: true });
  const files = sources.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const settings = [
    "tools/setup/package.ts",
    "tsconfig.json",
    "tsconfig.build.json",
    "tsconfig.cjs.json",
    "package-lock.json",
  ];
  const hash = createHash("sha256");
  for (const file of [...files.sort(), ...settings.map(fromRepository)]) {
    hash
      .update(`${file}\0`)
      .update(await readFile(file))
      .update("\0");
  }
  return hash.digest("hex");
}

/**
 * Compiles both module formats beside dist/ and moves them into place when both are whole. The ES modules are put together in a few files, which
 * load sooner (docs/performance.md).
 */
async function compile(report: Report): Promise<void> {
  const folder = fromRepository(`.cache/dist-${process.pid}`);
  const cjs = join(folder, "cjs");
  try {
    await mkdir(cjs, { recursive: true });
    await build({
      absWorkingDir: fromRepository("src"),
      entryPoints: entries,
      outdir: folder,
      // Exactly one folder below dist/, as the modules in src/ that find guest/ and package.json by their own place.
      chunkNames: "chunks/[name]-[hash]",
      ...{ bundle: true, splitting: true, packages: "external" },
      ...{ format: "esm", platform: "node", target: "node20", logLevel: "error" },
    });
    await Promise.all([tsc("tsconfig.build.json", folder, report), tsc("tsconfig.cjs.json", cjs, report)]);
    await writeFile(join(cjs, "package.json"), '{"type":"commonjs"}\n');
    const command = join(folder, "cli", "main.js");
    if (await exists(command)) await chmod(command, 0o755);
    await rm(dist, { recursive: true, force: true });
    await rename(folder, dist);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function tsc(project: string, outDir: string, report: Report): Promise<void> {
  const args = [fromRepository("node_modules/typescript/bin/tsc"), "-p", project, "--outDir", outDir];
  await run(process.execPath, args, { cwd: fromRepository(), report });
}
