/** Installers that a tool's maker offers as a shell script at a fixed address. */
import { ask, run, which, type Report } from "./command.js";
import { SetupError } from "./error.js";
import { installPackages } from "./packages.js";

const curl = {
  "apt-get": "curl ca-certificates",
  dnf: "curl",
  pacman: "curl",
  apk: "curl",
  zypper: "curl",
  brew: "curl",
};

/** An address that does not answer fails within 5 seconds, so that another way can be taken. */
const limits = ["--proto", "=https", "--tlsv1.2", "--connect-timeout", "5", "--max-time", "20"];

/**
 * Downloads an installer script and runs it with `args`. curl does the download, as in the makers' own instructions:
 * it knows the user's proxy settings, and the scripts need it as well.
 */
export async function runVendorInstaller(url: string, args: string[], report: Report): Promise<void> {
  if (!(await which("curl"))) await installPackages(curl, report);
  report(`downloading ${url}`);
  const script = await ask("curl", [...limits, "--fail", "--silent", "--location", url]);
  if (script === undefined) throw new SetupError(`${url} is out of reach.`);
  await run("sh", ["-s", "--", ...args], { input: script, report });
}
