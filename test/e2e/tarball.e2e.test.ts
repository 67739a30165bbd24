/** The packed package in projects of its users, with the real CLI: up, a query, an upgrade of the package, destroy. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { query } from "../../src/client/index.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { installPackage, type Installed } from "../package/installed.js";
import { expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
let installed: Installed;

beforeAll(async () => {
  installed = await installPackage(join(state.dir, "outside"));
});

const kinds = ["typescript", "esm", "javascript"];
const projects: Record<string, PulumiProject> = {};

test.each(kinds)("a project in %s boots a VM that answers", async (kind) => {
  const rvfPath = await sampleRvf();
  const { pulumi, outputs } = (projects[kind] = await openProject({
    directory: join(installed.dir, kind),
    workFolder: state.dir,
    stack: kind,
    env: { ...process.env, NODE_OPTIONS: "" },
  }));
  await pulumi(["config", "set", "rvfPath", rvfPath]);

  await pulumi(["up", "--yes"]);
  const { url, port } = await outputs();
  expect(url).toBe(`http://127.0.0.1:${String(port)}`);
  const vector = sampleQuery(1);
  expectNeighbours(await query(String(url), vector, 5), neighboursOnHost(rvfPath, vector, 5));
});

test("for another version of the package, which has its code in another place, nothing has changed", async () => {
  const folder = join(installed.dir, "node_modules/pulumi-microvm");
  const file = join(folder, "package.json");
  const text = (await readFile(file, "utf8")).replaceAll("./dist/", "./lib/");
  await rename(join(folder, "dist"), join(folder, "lib"));
  await writeFile(file, text.replace(/"version": "[^"]+"/, '"version": "99.0.0"'));
  await projects["typescript"]!.pulumi(["up", "--yes", "--skip-preview", "--expect-no-changes"]);
});

test.each(kinds)("the VM of a project in %s goes, by the version installed now", async (kind) => {
  const { pulumi, outputs } = projects[kind]!;
  const { vmId } = await outputs();
  const { all } = await pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(all).toContain("(powerdown)");
  expect(await leftovers([String(vmId)])).not.toContainEqual(expect.stringContaining(String(vmId)));
});

test("nothing is left", async () => expect(await leftovers()).toEqual([]));
