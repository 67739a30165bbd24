import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { placeToSave } from "../../src/launcher/warm/saved-states.js";
import { untold } from "../support/docs.js";
import { run } from "./in-process.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "microvm-cache-"));
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
});
afterAll(() => rm(dir, { recursive: true }));

async function saved(key: string, sources: Record<string, string>): Promise<void> {
  await using place = await placeToSave(16);
  await writeFile(place.files.state, "state");
  await place.keep({ key, sources }, { rvfPath: "/db.rvf", memoryMb: 16, vcpus: 1, qemuVersion: "7.2.22" });
}

test("saved states are listed, removed by the beginning of a key, and pruned where they are of no use", async () => {
  expect(await run("cache", "ls")).toMatchObject({ status: 0, stdout: "no saved states" });
  await saved("ab".repeat(32), {});
  await saved("cd".repeat(32), { "/no/such.rvf": "1 2 3 4" });
  const { stdout } = await run("cache", "ls");
  expect(stdout).toMatch(/^KEY +ON DISK +MEMORY +USED +RVF +OF NO USE$/m);
  expect(stdout).toMatch(/^abababababab .* 16 MiB .* \/db\.rvf$/m);
  expect(stdout).toMatch(/^cdcdcdcdcdcd .* \/no\/such\.rvf was changed$/m);
  const pruned = JSON.parse((await run("cache", "prune", "--json")).stdout) as object[];
  expect(pruned).toMatchObject([{ key: "cd".repeat(32), useless: "/no/such.rvf was changed" }]);
  expect(await untold(pruned[0]!, "`cache`")).toEqual([]);
  expect((await run("cache", "rm", "abab")).stdout).toMatch(/^REMOVED .*\nabababababab /);
  expect(await run("cache", "prune")).toMatchObject({ stdout: "nothing to remove" });
});

test.each([
  [["drop"], "Allowed choices are ls, rm, prune."],
  [["rm"], "rm takes keys"],
  [["ls", "ab"], "no other action does"],
  [["rm", "ef"], 'there is no saved state "ef"'],
])("cache %j is wrong usage", async (args, words) => {
  expect(await run("cache", ...args)).toMatchObject({
    status: 2,
    stderr: expect.stringContaining(words) as string,
  });
});
