/** A VM that somebody else made: a program looks at it, and then a stack takes it over. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Result } from "execa";
import { query } from "../../src/client/index.js";
import { createVm, statusOf, type VmStatus } from "../../src/launcher/index.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { run } from "../cli/in-process.js";
import { untold } from "../support/docs.js";
import { sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
let project: PulumiProject;
let vm: VmStatus;

beforeAll(async () => {
  project = await openProject({
    directory: fileURLToPath(new URL("../fixtures/projects/existing", import.meta.url)),
    workFolder: state.dir,
    stack: "existing",
    env: process.env,
  });
  vm = await createVm({ rvfPath: await sampleRvf(), memoryMb: 144, apiPort: 0 }, { name: "shop" });
});

const pulumi = async (...args: string[]): Promise<Result> => await project.pulumi(args, { reject: false });
const up = async () => await pulumi("up", "--yes", "--skip-preview");

/** Its words, where it went well. */
function wordsOf(result: Result): string {
  if (result.exitCode !== 0) throw new Error(`${result.command}\n${String(result.all)}`);
  return String(result.all);
}

test("a program gets hold of it by its id, and destroy leaves it alone", async () => {
  await pulumi("config", "set", "get", vm.vmId);
  wordsOf(await up());
  expect(await project.outputs()).toEqual({ url: vm.url });
  wordsOf(await pulumi("destroy", "--yes", "--skip-preview"));
  expect(await statusOf(vm.vmId)).toEqual(vm);
});

test("one that is not there is an error", async () => {
  await pulumi("config", "set", "get", "shop-00000000");
  const refused = await up();
  expect(refused.exitCode).not.toBe(0);
  expect(String(refused.all)).toContain("VmNotFound: there is no VM shop-00000000 on this host");
  await pulumi("config", "rm", "get");
});

test("a stack takes it over as it runs, and destroy then removes it", async () => {
  wordsOf(await up());
  const [stackFile, adopted] = [join(state.dir, "stack.json"), join(state.dir, "adopted.json")];
  await pulumi("stack", "export", "--stack", "existing", "--file", stackFile);
  const adopt = ["adopt", vm.vmId, "--stack-file", stackFile, "--name", "db", "--json"];
  const { stdout } = await run(...adopt, "-o", adopted);
  const adoption = JSON.parse(stdout) as { urn: string; program: string };
  const { urn, program } = adoption;
  expect(await untold(adoption, "`adopt`")).toEqual([]);
  expect(urn).toBe("urn:pulumi:existing::existing::pulumi-nodejs:dynamic/microvm:MicroVm::db");
  const rvfPath = JSON.stringify(vm.spec.rvfPath);
  expect(program).toBe(`new MicroVm("db", {\n  rvfPath: ${rvfPath},\n  memoryMb: 144,\n  apiPort: 0,\n});`);
  await pulumi("config", "set", "declare", `{"rvfPath":${rvfPath},"memoryMb":144,"apiPort":0}`);
  wordsOf(await pulumi("stack", "import", "--stack", "existing", "--file", adopted));

  wordsOf(await pulumi("preview", "--expect-no-changes"));
  wordsOf(await pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes"));
  wordsOf(await up());
  expect(await statusOf(vm.vmId)).toMatchObject({
    pid: vm.pid,
    owner: { stack: "existing", resource: "db" },
  });
  expect(await query(vm.url, sampleQuery(1), 2)).toHaveLength(2);

  // The stack has it now, so it is not to be added again, nor to another one.
  await pulumi("stack", "export", "--stack", "existing", "--file", stackFile);
  const again = await run(...adopt, "-o", join(state.dir, "again.json"));
  expect(again.stderr).toContain(`the stack has it already: ${urn}`);
  const other = await readFile(stackFile, "utf8");
  await writeFile(
    stackFile,
    other.replaceAll("existing::existing", "other::existing").replaceAll(vm.vmId, "x"),
  );
  const elsewhere = await run(
    "adopt",
    "db",
    "--stack-file",
    stackFile,
    "--name",
    "shop",
    "-o",
    `${stackFile}.2`,
  );
  expect(elsewhere.stderr).toContain(`${vm.vmId} is db of the Pulumi stack existing/existing`);

  expect(wordsOf(await pulumi("destroy", "--yes", "--skip-preview"))).toContain("powered off by its guest");
  expect(await leftovers()).toEqual([]);
});
