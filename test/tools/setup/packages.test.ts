/** Package installation through a package manager that writes down how it is called. */
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installCommand, installPackages } from "../../../tools/setup/packages.js";

let folder: string;
const { PATH } = process.env;
const { getuid } = process;
const report = () => {};

/** Knows packages only after its lists were refreshed. */
const manager = `#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
case "$*" in *update*|*-Sy*) touch "$(dirname "$0")/lists" ;; *) test -e "$(dirname "$0")/lists" ;; esac
`;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "microvm-packages-"));
  for (const name of ["apt-get", "pacman"]) {
    await writeFile(join(folder, name), manager);
    await chmod(join(folder, name), 0o755);
  }
  process.env["PATH"] = `${folder}:${PATH}`;
  process.getuid = () => 0;
});

afterEach(async () => {
  process.env["PATH"] = PATH;
  Object.assign(process, { getuid });
  await rm(folder, { recursive: true });
});

const calls = async () => (await readFile(join(folder, "calls"), "utf8")).trim().split("\n");

test("as root: apt installs without a question, with its lists refreshed once", async () => {
  const install = "install --yes --no-install-recommends --no-remove -o DPkg::Lock::Timeout=300";
  await installPackages({ "apt-get": "one two" }, report);
  await installPackages({ "apt-get": "three" }, report);
  expect(await calls()).toEqual(["update", `${install} one two`, `${install} three`]);
});

test("other managers refresh their lists when the first try fails", async () => {
  await installPackages({ pacman: "one" }, report);
  const install = "-S --noconfirm --needed one";
  expect(await calls()).toEqual([install, "-Sy", install]);
});

test("two installations run one after the other, and a failed one does not stop the next", async () => {
  await writeFile(join(folder, "apt-get"), "#!/bin/sh\nexit 100\n");
  await writeFile(join(folder, "lists"), "");
  const failing = installPackages({ "apt-get": "one" }, report);
  const working = installPackages({ pacman: "two" }, report);
  await expect(failing).rejects.toThrow("exit status 100");
  await working;
  expect(await calls()).toEqual(["-S --noconfirm --needed two"]);
});

test("as another user: nothing is called, the command to type is told", async () => {
  process.getuid = () => 1000;
  await expect(installPackages({ "apt-get": "one" }, report)).rejects.toMatchObject({
    hint: "Type: sudo apt-get install one",
  });
  await expect(calls()).rejects.toThrow("ENOENT");
});

test("without a manager that has it", async () => {
  await expect(installPackages({}, report)).rejects.toThrow("no package manager known here has it");
  expect(await installCommand({})).toBeUndefined();
});
