/** Everything that can be said about the code without running it. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { run, type Report } from "./setup/command.js";
import { ensurePackage } from "./setup/package.js";
import { fromRepository } from "./setup/repository.js";
import { ensureRustfmt } from "./setup/rust.js";
import type { Step } from "./steps.js";

const cwd = fromRepository();
const cache = fromRepository("node_modules/.cache");

/** A check that is one command of an installed npm package. */
function npmCheck(title: string, command: string, ...args: string[]): Step {
  return {
    title,
    run: async (report) => {
      await run(fromRepository(`node_modules/.bin/${command}`), args, { cwd, tail: 500, report });
      return "fine";
    },
  };
}

export const checks: Step[] = [
  npmCheck(
    "Types",
    "tsc",
    "--noEmit",
    "--incremental",
    "--tsBuildInfoFile",
    join(cache, "types.tsbuildinfo"),
  ),
  npmCheck("Format", "prettier", "--check", "--cache", "--log-level", "warn", "."),
  npmCheck(
    "Lint",
    "eslint",
    "--max-warnings",
    "0",
    "--cache",
    "--cache-location",
    join(cache, "eslint"),
    ".",
  ),
  npmCheck("Who may import whom", "depcruise", "src", "tools", "bench"),
  npmCheck("Unused files, exports and dependencies", "knip"),
  { title: "Guest's format", run: checkGuestFormat },
  { title: "Published package", run: checkPublishedPackage },
];

/** Not every machine can get rustfmt; that is no reason to fail the others' checks. */
async function checkGuestFormat(report: Report): Promise<string> {
  let cargo: string;
  try {
    cargo = await ensureRustfmt(report);
  } catch (error) {
    return `left out, rustfmt cannot be had: ${(error as Error).message}`;
  }
  await run(cargo, ["fmt", "--check"], { cwd: fromRepository("guest/init"), report });
  return "fine";
}

/** Packs as npm would and judges the tarball: its manifest, and its types in every module system. */
async function checkPublishedPackage(report: Report): Promise<string> {
  await ensurePackage(report);
  const folder = await mkdtemp(fromRepository(".cache/pack-"));
  try {
    await run("npm", ["pack", "--pack-destination", folder], { cwd, report });
    const tarball = join(folder, (await readdir(folder))[0]!);
    const bin = fromRepository("node_modules/.bin");
    await run(join(bin, "publint"), ["--strict", tarball], { cwd, report });
    // The provider and the launcher are ESM only by design.
    const rules = ["--profile", "node16", "--ignore-rules", "cjs-resolves-to-esm"];
    await run(join(bin, "attw"), [tarball, ...rules], { cwd, report });
    return "fine";
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
