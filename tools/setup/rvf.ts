/** The real RVF tools (`rvf`, `rvf-server`) and the format's own crates, which the tests hold this product against. */
import { createHash } from "node:crypto";
import { readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { exists, makeOnce, toolDir } from "./cache.js";
import { run, type Report } from "./command.js";
import type { Part } from "./part.js";
import { fromRepository } from "./repository.js";
import { ensureRust } from "./rust.js";

const version = "0.3.0";

/** The tests' program on the crates rvf-runtime and rvf-crypto: the tools above can neither bind nor sign a kernel. */
const writer = fromRepository("test/rvf/writers/rvf-runtime");

export async function ensureRvf(report: Report): Promise<Part> {
  const tools = await installOnce(
    `rvf-${version}`,
    ["rvf-cli", "rvf-server"].map((name) => [name, "--version", version]),
    report,
  );
  const own = await installOnce(
    `rvf-writer-${await writerHash()}`,
    [["--path", writer, "--profile", "dev"]],
    report,
  );
  return {
    summary: `${tools.present && own.present ? "found" : "built"} ${version}, ${tools.bin}`,
    env: {
      RVF_CLI_BIN: join(tools.bin, "rvf"),
      RVF_SERVER_BIN: join(tools.bin, "rvf-server"),
      RVF_WRITER_BIN: join(own.bin, "rvf-writer"),
    },
  };
}

/** Runs `cargo install` with each of the argument lists, unless that has been done. */
async function installOnce(
  name: string,
  installs: string[][],
  report: Report,
): Promise<{ present: boolean; bin: string }> {
  const target = toolDir(name);
  const present = await exists(target);
  if (!present) {
    const cargo = await ensureRust(report);
    await makeOnce(target, async (folder) => {
      // One target folder: the tools share most of their dependencies.
      const env = { CARGO_TARGET_DIR: join(folder, "target") };
      for (const args of installs)
        await run(cargo, ["install", "--locked", ...args, "--root", folder], { env, report });
      await rm(join(folder, "target"), { recursive: true });
    });
  }
  return { present, bin: join(target, "bin") };
}

/** So that a change of the sources means another build. */
async function writerHash(): Promise<string> {
  const sources = (await readdir(join(writer, "src"))).sort().map((name) => join("src", name));
  const hash = createHash("sha256");
  for (const name of ["Cargo.toml", "Cargo.lock", ...sources]) {
    const content = await readFile(join(writer, name));
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}
