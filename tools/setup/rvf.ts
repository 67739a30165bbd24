/** The real RVF tools (`rvf`, `rvf-server`), which the tests hold this product against. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { exists, makeOnce, toolDir } from "./cache.js";
import { run, type Report } from "./command.js";
import type { Part } from "./part.js";
import { ensureRust } from "./rust.js";

const version = "0.3.0";

export async function ensureRvf(report: Report): Promise<Part> {
  const target = toolDir(`rvf-${version}`);
  const bin = join(target, "bin");
  const present = await exists(target);
  if (!present) {
    const cargo = await ensureRust(report);
    await makeOnce(target, async (folder) => {
      // One target folder: the two share most of their dependencies.
      const env = { CARGO_TARGET_DIR: join(folder, "target") };
      for (const name of ["rvf-cli", "rvf-server"]) {
        await run(cargo, ["install", "--locked", name, "--version", version, "--root", folder], {
          env,
          report,
        });
      }
      await rm(join(folder, "target"), { recursive: true });
    });
  }
  return {
    summary: `${present ? "found" : "built"} ${version}, ${bin}`,
    env: { RVF_CLI_BIN: join(bin, "rvf"), RVF_SERVER_BIN: join(bin, "rvf-server") },
  };
}
