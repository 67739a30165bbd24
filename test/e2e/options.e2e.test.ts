/** Pulumi's own ways to replace and rename, on a VM with a fixed port, which it must not find taken by itself. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { query } from "../../src/client/index.js";
import { isPortFree, listRecords, statusOfRecord, type VmStatus } from "../../src/launcher/index.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
let project: PulumiProject;

const configure = async (key: string, value: unknown) =>
  await project.pulumi(["config", "set", key, JSON.stringify(value)]);

/** The only VM there is, which answers. */
async function theVm(): Promise<VmStatus> {
  const records = await listRecords();
  expect(records).toHaveLength(1);
  const vm = await statusOfRecord(records[0]!);
  expect(await query(vm.url, sampleQuery(1), 2)).toHaveLength(2);
  return vm;
}

async function freePort(): Promise<number> {
  for (let port = 28_080; ; port++) if (await isPortFree(port)) return port;
}

beforeAll(async () => {
  const rvfPath = join(state.dir, "db.rvf");
  await copyFile(await sampleRvf(), rvfPath);
  project = await openProject({
    directory: fileURLToPath(new URL("../fixtures/projects/args", import.meta.url)),
    workFolder: state.dir,
    stack: "options",
    env: process.env,
  });
  await configure("args", { rvfPath, apiPort: await freePort() });
  await project.pulumi(["up", "--yes", "--skip-preview"]);
});

test("a forced replacement deletes first and takes the same port", async () => {
  const before = await theVm();
  const urn = "urn:pulumi:options::args::pulumi-nodejs:dynamic/microvm:MicroVm::db";
  await project.pulumi(["up", "--yes", "--skip-preview", "--target-replace", urn]);
  const after = await theVm();
  expect(after.vmId).not.toBe(before.vmId);
  expect(after.boundApiPort).toBe(before.boundApiPort);
});

test("a resource renamed with an alias keeps its VM running", async () => {
  const before = await theVm();
  await configure("name", "renamed");
  await project.pulumi(["up", "--yes"]);
  expect(await theVm()).toMatchObject({
    vmId: before.vmId,
    pid: before.pid,
    owner: { project: "args", stack: "options", resource: "renamed" },
  });
  await project.pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(await leftovers()).toEqual([]);
});
