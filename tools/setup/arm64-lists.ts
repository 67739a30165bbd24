/** Debian's arm64 packages, looked up by an apt with lists of its own, so that the system keeps its architectures. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { run, type Report } from "./command.js";

/** Fetches lists of arm64 packages from the system's own mirrors into `dir`; returns what makes apt use them. */
export async function arm64Lists(dir: string, report: Report): Promise<string[]> {
  for (const sub of ["state/lists/partial", "cache/archives/partial"])
    await mkdir(join(dir, sub), { recursive: true });
  const settings = [
    "APT::Architecture=arm64",
    "APT::Architectures=arm64",
    `Dir::State=${join(dir, "state")}`,
    "Dir::State::status=/dev/null",
    `Dir::Cache=${join(dir, "cache")}`,
    "APT::Sandbox::User=root",
    "Acquire::Languages=none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
  ];
  const options = settings.flatMap((setting) => ["-o", setting]);
  await run("apt-get", [...options, "update"], { report });
  return options;
}
