/** Tests the guest's own source. */
import { join } from "node:path";
import { cacheDir } from "../src/paths.js";
import { run, type Report } from "./setup/command.js";
import { fromRepository } from "./setup/repository.js";
import { ensureRust } from "./setup/rust.js";

/** Shares the profile and the folder with the appliance's build, so that the crates it stands on are compiled once. */
export async function testGuest(report: Report): Promise<string> {
  const cargo = await ensureRust(report);
  await run(cargo, ["test", "--release", "--locked", "--target", "x86_64-unknown-linux-gnu"], {
    cwd: fromRepository("guest/init"),
    env: { CARGO_TARGET_DIR: join(cacheDir(), "appliance", "cargo-target") },
    report,
  });
  return "fine";
}
