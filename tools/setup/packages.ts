/** Packages of the system: the only change that the set-up makes outside caches. */
import { which, run, type Report } from "./command.js";
import { SetupError } from "./error.js";

/** How each package manager installs without a question, and how it learns of new packages. */
const managers = {
  "apt-get": {
    // Never removes a package for another, and waits up to 5 minutes while another apt runs.
    install: ["install", "--yes", "--no-install-recommends", "--no-remove", "-o", "DPkg::Lock::Timeout=300"],
    refresh: ["update"],
  },
  dnf: { install: ["install", "-y"], refresh: ["makecache"] },
  pacman: { install: ["-S", "--noconfirm", "--needed"], refresh: ["-Sy"] },
  apk: { install: ["add"], refresh: ["update"] },
  zypper: { install: ["--non-interactive", "install"], refresh: ["--non-interactive", "refresh"] },
  brew: { install: ["install"], refresh: ["update"] },
};
export type Manager = keyof typeof managers;

/** Names of what is wanted for each manager that has it, separated by spaces. */
export type Packages = Partial<Record<Manager, string>>;

/** The command for a person to install the packages here, or undefined when no manager here has them. */
export async function installCommand(packages: Packages): Promise<string | undefined> {
  const manager = await findManager(packages);
  if (manager === undefined) return undefined;
  const { install } = managers[manager];
  return `${manager === "brew" ? "" : "sudo "}${manager} ${install[0]} ${packages[manager]}`;
}

let queue: Promise<void> = Promise.resolve();

/** Once in a run is enough. */
let aptRefresh: Promise<void> | undefined;

/**
 * Installs packages when that needs no question: as root, or with brew. Else throws SetupError with the command for
 * a person to type. Lists of packages are refreshed when the first try fails; apt's before it, because with old or partial
 * lists it would install an old version without a word.
 */
export async function installPackages(packages: Packages, report: Report): Promise<void> {
  const manager = await findManager(packages);
  const names = manager && packages[manager];
  if (manager === undefined || names === undefined)
    throw new SetupError("no package manager known here has it");
  if (manager !== "brew" && process.getuid?.() !== 0) {
    throw new SetupError(`the packages ${names} are missing`, {
      hint: `Type: ${await installCommand(packages)}`,
    });
  }
  const installNow = async () =>
    await manage(manager, [...managers[manager].install, ...names.split(" ")], report);
  const refresh = async () => await manage(manager, managers[manager].refresh, report);
  await inTurn(async () => {
    if (manager === "apt-get")
      await (aptRefresh ??= refresh()).catch(() => report("using the lists there are"));
    await installNow().catch(async () => {
      await refresh();
      await installNow();
    });
  }, report);
}

/** Has the package lists filled, for programs that look packages up. As a user other than root it leaves that out. */
export async function refreshPackageLists(manager: Manager, report: Report): Promise<void> {
  if (process.getuid?.() !== 0) return;
  await inTurn(async () => await manage(manager, managers[manager].refresh, report), report);
}

async function manage(manager: Manager, args: string[], report: Report): Promise<void> {
  await run(manager, args, { env: { DEBIAN_FRONTEND: "noninteractive" }, report });
}

/** Package managers lock their data: one after the other. */
async function inTurn(work: () => Promise<void>, report: Report): Promise<void> {
  report("waiting for another installation");
  const turn = queue.then(work);
  queue = turn.catch(() => {});
  await turn;
}

async function findManager(packages: Packages): Promise<Manager | undefined> {
  for (const manager of Object.keys(packages) as Manager[]) {
    if (await which(manager)) return manager;
  }
  return undefined;
}
