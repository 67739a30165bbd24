/** The README's commands, as a newcomer copies them. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const repository = fileURLToPath(new URL("../..", import.meta.url));

/** The lines of the first shell block behind the words. */
async function commandsAfter(words: string): Promise<string[]> {
  const [, rest = ""] = (await readFile(join(repository, "README.md"), "utf8")).split(words);
  return /```sh\n([^`]+)```/.exec(rest)![1]!.trim().split("\n");
}

test("from a clone to a query by hand", async () => {
  const commands = await commandsAfter("Then by hand");
  const said: string[] = [];
  for (const command of commands) {
    // As it stands, but for what may be somebody else's: files in the repository's folder, and port 8080.
    const line = command
      .replaceAll(/\b(appliance\.img|vectors\.rvf|db\.rvf)\b/g, join(state.dir, "$1"))
      .replace("run -d", "run -d --port 0");
    const { all, exitCode } = await execa("sh", ["-c", line], {
      cwd: repository,
      // The appliance is in the user's own cache.
      env: { MICROVM_CACHE_DIR: undefined, NODE_OPTIONS: "" },
      stdin: "ignore",
      all: true,
      reject: false,
      timeout: 120_000,
    });
    if (exitCode !== 0) throw new Error(`${command}\n${all}`);
    said.push(all);
  }
  expect(commands).toHaveLength(7);
  const [appliance, made, embedded, inspected, ran, answer, stopped] = said;
  expect(appliance).toMatch(/sha256 [0-9a-f]{64}/);
  expect(made).toContain("3 vectors of dimension 3");
  expect(embedded).toContain("bzImage");
  expect(inspected).toMatch(/^vectors: +3 of dimension 3/m);
  expect(ran).toMatch(/^status: +running$/m);
  expect(answer).toMatch(/^ID +DISTANCE\n1 +\S+\n2 +\S+$/m);
  expect(stopped).toContain("powered off by its guest");
  expect(await leftovers()).toEqual([]);
});
