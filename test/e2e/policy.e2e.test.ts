/** A policy pack judges a MicroVm by its inputs, with the defaults of those that the program leaves out. */
import { mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { sampleRvf } from "../support/rvf.js";
import { privateState } from "../support/state.js";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const state = privateState();
let project: PulumiProject;

beforeAll(async () => {
  // A vendor's CLI brings this program along; one built from its source does not.
  const bin = join(state.dir, "bin");
  await mkdir(bin);
  const run = at("../../node_modules/@pulumi/pulumi/cmd/run-policy-pack");
  const script = `#!/bin/sh\nexec "${process.execPath}" "${run}" "$@"\n`;
  await writeFile(join(bin, "pulumi-analyzer-policy"), script, { mode: 0o755 });
  project = await openProject({
    directory: at("../fixtures/projects/args"),
    workFolder: state.dir,
    stack: "policy",
    env: { ...process.env, NODE_OPTIONS: "", PATH: [bin, process.env["PATH"]].join(delimiter) },
  });
});

test("it refuses a VM at preview, by what the program says and what it does not say", async () => {
  const rvfPath = await sampleRvf();
  await project.pulumi(["config", "set", "args", JSON.stringify({ rvfPath, apiPort: 0, memoryMb: 512 })]);
  const { exitCode, all } = await project.pulumi(["preview", "--policy-pack", at("../fixtures/policy")], {
    reject: false,
  });
  expect(exitCode).not.toBe(0);
  expect(all).toContain("512 MiB are more than 256");
  const [seen] = /\{"[^\n]*"rvfPath"[^\n]*\}/.exec(String(all))!;
  expect(JSON.parse(seen)).toMatchObject({ rvfPath, memoryMb: 512, vcpus: 1, bindAddress: "127.0.0.1" });
});
