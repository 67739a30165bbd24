/** examples/blue-green: the RVF is exchanged while clients ask. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { makeSampleRvf, neighboursOfEach, sampleQuery } from "../../tools/sample-rvf.js";
import { either, k, startLoad, type Load, type Question } from "../support/load.js";
import { appliancePath } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
let project: PulumiProject;
let rvfPath: string;
let load: Load | undefined;

beforeAll(async () => {
  rvfPath = join(state.dir, "db.rvf");
  project = await openProject({
    directory: fileURLToPath(new URL("../../examples/blue-green", import.meta.url)),
    workFolder: state.dir,
    stack: "blue-green",
    // The front proxy has its files in the temporary folder.
    env: { ...process.env, TMPDIR: state.dir },
  });
  await project.pulumi(["config", "set", "rvfPath", rvfPath]);
});
afterAll(async () => await load?.stop());

const up = async () => await project.pulumi(["up", "--yes", "--skip-preview"], { reject: false });

/** Puts a content of so many vectors behind the path, and tells what is answered from it. */
async function put(count: number): Promise<Question[]> {
  const next = join(state.dir, "next.rvf");
  await makeSampleRvf(next, { image: appliancePath(), count });
  await rename(next, rvfPath);
  const vectors = [1, 2, 3].map((seed) => sampleQuery(seed));
  const found = neighboursOfEach(rvfPath, vectors, k);
  return vectors.map((vector, i) => ({ vector, answers: [found[i]!.map(({ id }) => id).join()] }));
}

test("a new content takes over without a failed query, and a damaged one not at all", async () => {
  const blue = await put(300);
  expect(await up()).toMatchObject({ exitCode: 0 });
  const first = await project.outputs();
  const green = await put(200);
  load = startLoad({ urls: [String(first["url"])], questions: either(blue, green) });
  expect(await up()).toMatchObject({ exitCode: 0 });
  const second = await project.outputs();
  expect(second["url"]).toBe(first["url"]);
  expect(second["serving"]).not.toBe(first["serving"]);
  expect(load.taken()).toMatchObject({ failed: [], wrong: [] });

  load.aim = { ...load.aim, questions: green };
  await writeFile(join(state.dir, "next.rvf"), (await readFile(rvfPath)).subarray(0, 1000));
  await rename(join(state.dir, "next.rvf"), rvfPath);
  expect((await up()).exitCode).not.toBe(0);
  await load.stop();
  const { queries, ...others } = load.taken();
  expect(queries).toBeGreaterThan(0);
  expect(others).toEqual({ refused: 0, failed: [], wrong: [] });

  await project.pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(await leftovers()).toEqual([]);
}, 400_000);
