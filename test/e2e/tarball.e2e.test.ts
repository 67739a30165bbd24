/** The packed package in projects of its users, with the real CLI: up, a query, destroy. */
import { join } from "node:path";
import { query } from "../../src/client/index.js";
import { openProject } from "../../tools/pulumi-project.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { installPackage, type Installed } from "../package/installed.js";
import { expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
let installed: Installed;

beforeAll(async () => {
  installed = await installPackage(join(state.dir, "outside"));
});

test.each(["typescript", "esm", "javascript"])("a project in %s boots, answers and goes", async (kind) => {
  const rvfPath = await sampleRvf();
  const { pulumi, outputs } = await openProject({
    directory: join(installed.dir, kind),
    workFolder: state.dir,
    stack: kind,
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  await pulumi(["config", "set", "rvfPath", rvfPath]);

  await pulumi(["up", "--yes"]);
  const { vmId, url, port } = await outputs();
  expect(url).toBe(`http://127.0.0.1:${String(port)}`);
  const vector = sampleQuery(1);
  expectNeighbours(await query(String(url), vector, 5), neighboursOnHost(rvfPath, vector, 5));

  const { all } = await pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(all).toContain("(powerdown)");
  expect(await leftovers([String(vmId)])).toEqual([]);
});
