/** What `npm install pulumi-microvm` gives: in every kind of program, outside the repository. */
import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { currentAppliance } from "../../src/appliance/index.js";
import { providerText, typeToken } from "../../src/resources/constants.js";
import type { VmStatus } from "../../src/launcher/index.js";
import { leftOfVm } from "../../tools/leftovers.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { asNobody, giveToNobody, isNobodys, testAsRoot } from "../support/nobody.js";
import { appliancePath, sampleRvf } from "../support/rvf.js";
import { privateState } from "../support/state.js";
import { installPackage, type Installed } from "./installed.js";

const state = privateState();
let installed: Installed;

beforeAll(async () => {
  installed = await installPackage(join(state.dir, "outside"));
});

const node = async (args: string[], folder?: string) => await installed.run(process.execPath, args, folder);

test("it ships what a user needs, and every file that its manifest names", async () => {
  const { files, dir } = installed;
  const wanted =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|docs\/([\w-]+\.md|performance\/[\w-]+\.svg)|dist\/[\w/-]+(\.d\.ts|\.js))$/;
  const others = files.filter((file) => !wanted.test(file));
  expect(others.filter((file) => !/^guest\/(init\/src\/\w+\.rs|kernel\/[\w-]+\.patch)$/.test(file))).toEqual([
    "dist/cjs/package.json",
    ...["guest/init/.cargo/config.toml", "guest/init/Cargo.lock", "guest/init/Cargo.toml"],
    ...["guest/kernel/aarch64.config", "guest/kernel/config", "guest/kernel/source.json"],
  ]);
  expect(files).toEqual(expect.arrayContaining(["README.md", "LICENSE", "guest/init/src/main.rs"]));

  const manifest = await readFile(join(dir, "node_modules/pulumi-microvm/package.json"), "utf8");
  const named = [...manifest.matchAll(/"\.\/(dist\/[^"]+)"/g)].map(([, file]) => file!);
  expect(named.length).toBeGreaterThan(5);
  expect(files).toEqual(expect.arrayContaining(named));
});

test.each([
  ["CommonJS", "node"],
  ["NodeNext", "NodeNext"],
])(
  "a TypeScript program has its types, and wrong arguments are refused: module %s",
  async (module, resolution) => {
    const tsc = installed.tool("typescript/bin/tsc");
    await node([tsc, "-p", ".", "--module", module, "--moduleResolution", resolution], "typescript");
  },
);

test("the library's types are whole in a TypeScript module", async () => {
  const tsc = installed.tool("typescript/bin/tsc");
  const flags = "--noEmit --strict --target ES2022 --lib ES2023,ESNext.Disposable --module NodeNext".split(
    " ",
  );
  const types = ["--typeRoots", installed.tool("@types"), "--types", "node"];
  await node([tsc, ...flags, ...types, "tools.mts"], "typescript");
});

const declaration = {
  type: typeToken,
  name: "db",
  inputs: {
    rvfPath: "./db.rvf",
    memoryMb: 128,
    apiPort: 0,
    enableKvm: false,
    owner: { project: "project", stack: "stack", resource: "db" },
    __provider: providerText,
  },
};

const programs = ["javascript", "esm"];

test.each(programs)("a program declares a MicroVm: %s", async (program) => {
  expect(JSON.parse(await node(["mocked.mjs", `${program}/index.js`]))).toEqual([declaration]);
});

test("a user's own Jest tests run on CommonJS as they are", async () => {
  await node([installed.tool("jest/bin/jest.js"), "--ci"], "jest");
});

test("importing the resource loads four files of its own and nothing else", async () => {
  const loaded = await node([
    "-e",
    `require("@pulumi/pulumi");
     const before = new Set(Object.keys(require.cache));
     require("pulumi-microvm");
     console.log(JSON.stringify(Object.keys(require.cache).filter((file) => !before.has(file))));`,
  ]);
  const own = join(installed.dir, "node_modules/pulumi-microvm/dist/cjs");
  expect((JSON.parse(loaded) as string[]).sort()).toEqual(
    ["errors.js", "index.js", "resources/MicroVm.js", "resources/constants.js"].map((file) =>
      join(own, file),
    ),
  );
});

test("errors of the resource's entry and of the library are the same kind", async () => {
  const text = await node([
    "--input-type=module",
    "-e",
    `import { MicroVmError } from "pulumi-microvm";
     import * as launcher from "pulumi-microvm/launcher";
     const error = await launcher.launch({ rvfPath: "/missing.rvf" }).catch((reason) => reason);
     console.log(error instanceof MicroVmError, error.code, typeof launcher.checkRequirements);`,
  ]);
  expect(text).toBe("true FileNotFound function");
});

test("the provider's entry has the functions that stand in users' states", async () => {
  const text = await node([
    "-e",
    'import("pulumi-microvm/provider").then((p) => console.log(Object.keys(p).join()))',
  ]);
  expect(text).toBe("check,create,diff,read,remove,update");
});

test("the command runs", async () => {
  expect(await installed.run("npx", ["--no-install", "microvm", "--help"])).toMatch(/^Usage: microvm /);
});

test("the command finds the appliance's sources, and knows a prebuilt one as theirs", async () => {
  const from = appliancePath();
  const sha256 = createHash("sha256")
    .update(await readFile(from))
    .digest("hex");
  const taken = await installed.run("npx", [
    ...["--no-install", "microvm", "appliance", "--from", from, "--sha256", sha256, "--json"],
  ]);
  const shown = await installed.run("npx", ["--no-install", "microvm", "appliance", "--json"]);
  expect(JSON.parse(shown)).toEqual(JSON.parse(taken));
  // What it is known by is the repository's sources: an installed package has all of them.
  expect((await currentAppliance())?.sha256).toBe(sha256);
});

testAsRoot("an ordinary user runs VMs with rights on nothing but the own files", async () => {
  const home = join(state.dir, "home");
  const rvfPath = join(home, "db.rvf");
  await chmod(state.dir, 0o755);
  await mkdir(home);
  await copyFile(await sampleRvf(), rvfPath);
  await Promise.all([home, rvfPath].map(giveToNobody));
  const cli = join(installed.dir, "node_modules/pulumi-microvm/dist/cli/main.js");
  const microvm = async <T>(...args: string[]): Promise<T> =>
    JSON.parse(
      await asNobody(process.execPath, [cli, ...args, "--json"], { env: { HOME: home }, cwd: home }),
    ) as T;

  const vm = await microvm<VmStatus>("run", "db.rvf", "-d", "-p", "0");
  expect(vm.consoleLog).toMatch(new RegExp(`^${home}/\\.local/state/microvm/vms/`));
  expect(isNobodys(await stat(`/proc/${vm.pid}`))).toBe(true);
  // Where others may open it, KVM is theirs to try.
  const kvm = await stat("/dev/kvm").catch(() => undefined);
  if (((kvm?.mode ?? 0) & 0o006) !== 0o006)
    expect(vm).toMatchObject({
      accelerator: "tcg",
      acceleratorReason: expect.stringMatching(
        kvm ? "^/dev/kvm may not be opened by this user" : "^there is no /dev/kvm",
      ) as string,
    });
  expect(await microvm("ls")).toMatchObject([{ vmId: vm.vmId, state: "running" }]);
  const vector = JSON.stringify(sampleQuery(1));
  expect(await microvm("query", "db", "--vector", vector, "-k", "3")).toHaveLength(3);
  expect(await microvm("stop", "db")).toMatchObject({ rung: "powerdown" });
  expect(await leftOfVm(vm.vmId, vm.qmpSocket)).toEqual([]);
  expect(await readdir(join(home, ".local/state/microvm/vms"))).toEqual([]);
});

test("the newest SDK takes the resource too", async () => {
  const newest = await installPackage(join(state.dir, "newest"), "3.270.0");
  for (const program of programs) {
    const declared = await newest.run(process.execPath, ["mocked.mjs", `${program}/index.js`]);
    expect(JSON.parse(declared)).toEqual([declaration]);
  }
});
