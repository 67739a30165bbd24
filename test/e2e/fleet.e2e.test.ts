/** examples/fleet: many VMs in one program, and those of another program at the same time on the same host. */
import { fileURLToPath } from "node:url";
import { query } from "../../src/client/index.js";
import { listRecords } from "../../src/launcher/index.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const stacks = [
  { stack: "large", size: 20 },
  { stack: "small", size: 3 },
];
const projects: PulumiProject[] = [];
let rvfPath: string;

beforeAll(async () => {
  rvfPath = await sampleRvf();
  for (const { stack, size } of stacks) {
    const project = await openProject({
      directory: fileURLToPath(new URL("../../examples/fleet", import.meta.url)),
      workFolder: state.dir,
      stack,
      // The front proxies have their files in the temporary folder.
      env: { ...process.env, TMPDIR: state.dir },
    });
    const config = [`rvfPath=${rvfPath}`, `size=${size}`].flatMap((value) => ["--plaintext", value]);
    await project.pulumi(["config", "set-all", ...config]);
    projects.push(project);
  }
});

/** On all stacks at the same time; returns each one's words. */
const onAll = async (command: string): Promise<string[]> =>
  await Promise.all(
    projects.map(async ({ pulumi }) => String((await pulumi([command, "--yes", "--skip-preview"])).all)),
  );

interface Outputs {
  url: string;
  members: string[];
}
const outputsOf = async (project: PulumiProject) => (await project.outputs()) as unknown as Outputs;

test("all VMs of two programs come up, each tells how long it took, and each answers", async () => {
  const words = await onAll("up");
  const reference = neighboursOnHost(rvfPath, sampleQuery(1), 3);
  for (const [i, { size }] of stacks.entries()) {
    const { members } = await outputsOf(projects[i]!);
    expect(new Set(members).size).toBe(size);
    for (const answer of await Promise.all(members.map((url) => query(url, sampleQuery(1), 3))))
      expectNeighbours(answer, reference);
    for (let member = 0; member < size; member++)
      expect(words[i]).toMatch(new RegExp(`shop-${member}: booted in [\\d.]+ s under (tcg|kvm)`));
  }
  expect(await listRecords()).toHaveLength(23);
}, 400_000);

test("the front answers, also while one of the VMs is down", async () => {
  const { url, members } = await outputsOf(projects[1]!);
  const askAll = async () => {
    for (const member of members.keys()) expect(await query(url, sampleQuery(member), 2)).toHaveLength(2);
  };
  await askAll();
  const port = Number(new URL(members[0]!).port);
  const victim = (await listRecords()).find(({ generation }) => generation?.boundApiPort === port);
  process.kill(victim!.generation!.pid!, "SIGKILL");
  await askAll();
});

test("destroying both at the same time leaves nothing, not the front either", async () => {
  const { url } = await outputsOf(projects[1]!);
  await onAll("destroy");
  expect(await leftovers()).toEqual([]);
  await expect(query(url, sampleQuery(1), 1)).rejects.toThrow();
}, 400_000);
