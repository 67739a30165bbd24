/** The `zstd` command, whose frames the tests hold the reader against. */
import { installPackages } from "./packages.js";
import { which, type Report } from "./command.js";
import type { Part } from "./part.js";

const packages = {
  "apt-get": "zstd",
  dnf: "zstd",
  pacman: "zstd",
  apk: "zstd",
  zypper: "zstd",
  brew: "zstd",
};

export async function ensureZstd(report: Report): Promise<Part> {
  const present = await which("zstd");
  if (present === undefined) await installPackages(packages, report);
  return { summary: present === undefined ? "installed" : `found ${present}` };
}
