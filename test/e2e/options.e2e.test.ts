/** Pulumi's own options and ways to replace and rename, on a VM with a fixed port, which it must not find taken by itself. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { query } from "../../src/client/index.js";
import {
  destroyVm,
  isPortFree,
  listRecords,
  statusOfRecord,
  type VmStatus,
} from "../../src/launcher/index.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
let project: PulumiProject;
let args: Record<string, unknown>;

const configure = async (key: string, value: unknown) =>
  await project.pulumi(["config", "set", key, JSON.stringify(value)]);

const up = async (...flags: string[]) => await project.pulumi(["up", "--yes", "--skip-preview", ...flags]);

/** The only VM there is, which answers. */
async function theVm(): Promise<VmStatus> {
  const records = await listRecords();
  expect(records).toHaveLength(1);
  const vm = await statusOfRecord(records[0]!);
  expect(await query(vm.url, sampleQuery(1), 2)).toHaveLength(2);
  return vm;
}

interface Resource {
  type: string;
  parent: string;
  dependencies?: string[];
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
}

/** The resource as it stands in the state. */
async function stored(): Promise<Resource> {
  const { stdout } = await project.pulumi(["stack", "export", "--stack", "options"]);
  const { deployment } = JSON.parse(String(stdout)) as { deployment: { resources: Resource[] } };
  return deployment.resources.find(({ type }) => type.endsWith("microvm:MicroVm"))!;
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
  args = { rvfPath, apiPort: await freePort() };
  await configure("args", args);
  await configure("concealed", ["apiPort"]);
  await up();
});

test("what is derived from a secret input is a secret in the state", async () => {
  const { inputs, outputs } = await stored();
  const isSecret = (value: unknown) => typeof value === "object" && value !== null && "ciphertext" in value;
  const secrets = Object.entries(outputs).filter(([, value]) => isSecret(value));
  expect(secrets.map(([name]) => name).sort()).toEqual([
    "apiPort",
    "boundApiPort",
    "condition",
    "status",
    "url",
  ]);
  expect(inputs["secretInputs"]).toEqual(["apiPort"]);
  expect(JSON.stringify({ inputs, outputs })).not.toContain(`${String(args["apiPort"])}`);
});

test("a forced replacement deletes first and takes the same port", async () => {
  const before = await theVm();
  const urn = "urn:pulumi:options::args::pulumi-nodejs:dynamic/microvm:MicroVm::db";
  await up("--target-replace", urn);
  const after = await theVm();
  expect(after.vmId).not.toBe(before.vmId);
  expect(after.boundApiPort).toBe(before.boundApiPort);
});

test("a resource that is renamed and moved into a component, with an alias, keeps its VM running", async () => {
  const before = await theVm();
  await configure("name", "renamed");
  await configure("component", true);
  await project.pulumi(["up", "--yes"]);
  const { parent, dependencies } = await stored();
  expect(parent).toMatch(/::args:app::app$/);
  expect(dependencies).toEqual([expect.stringMatching(/::before$/)]);
  const owner = { project: "args", stack: "options", resource: `${parent}::renamed` };
  expect(await theVm()).toMatchObject({ vmId: before.vmId, pid: before.pid, owner });
});

test("a change that replaceOnChanges names replaces it; protect keeps it, and retainOnDelete lets it run on", async () => {
  const before = await theVm();
  await configure("args", { ...args, memoryMb: 140 });
  await configure("options", {
    replaceOnChanges: ["memoryMb"],
    protect: true,
    customTimeouts: { create: "10m" },
  });
  await up();
  const after = await theVm();
  expect(after.vmId).not.toBe(before.vmId);
  expect(after.boundApiPort).toBe(before.boundApiPort);
  expect((await stored()).inputs["customTimeouts"]).toEqual({ create: "10m" });

  const refused = await project.pulumi(["destroy", "--yes", "--skip-preview"], { reject: false });
  expect(refused.exitCode).not.toBe(0);
  expect(await theVm()).toEqual(after);

  await configure("options", { retainOnDelete: true });
  await up();
  await project.pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(await theVm()).toEqual(after);
  await destroyVm(after.vmId);
  expect(await leftovers([after.vmId])).toEqual([]);
});
