import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { makeOnce } from "../../../tools/setup/cache.js";
import { eventually, isAlive } from "../../support/wait.js";

let parent: string;
let target: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "microvm-cache-"));
  target = join(parent, "tool-1.0");
});

afterEach(async () => await rm(parent, { recursive: true, force: true }));

const fillWith = (text: string) => async (folder: string) => await writeFile(join(folder, "file"), text);

test("fills a folder beside and moves it into place", async () => {
  await makeOnce(target, async (folder) => {
    expect(await readdir(parent)).not.toContain("tool-1.0");
    await fillWith("whole")(folder);
  });
  expect(await readFile(join(target, "file"), "utf8")).toBe("whole");
  expect(await readdir(parent)).toEqual(["tool-1.0"]);
});

test("a failure leaves nothing and is told", async () => {
  const fill = async (folder: string) => {
    await fillWith("half")(folder);
    throw new Error("the compiler stopped");
  };
  await expect(makeOnce(target, fill)).rejects.toThrow("the compiler stopped");
  expect(await readdir(parent)).toEqual([]);
});

test("what another set-up finished meanwhile stays", async () => {
  await makeOnce(target, async (folder) => {
    await fillWith("second")(folder);
    await mkdir(target);
    await fillWith("first")(target);
  });
  expect(await readFile(join(target, "file"), "utf8")).toBe("first");
  expect(await readdir(parent)).toEqual(["tool-1.0"]);
});

test("removes what an interrupted set-up left, but not what a living one makes", async () => {
  const { pid } = execa("true");
  await eventually(() => !isAlive(pid!));
  const living = `tool-1.0.${process.ppid}.partial`;
  for (const name of [`tool-1.0.${pid}.partial`, living, `other.${pid}.partial`])
    await mkdir(join(parent, name));
  await makeOnce(target, fillWith("whole"));
  expect((await readdir(parent)).sort()).toEqual([`other.${pid}.partial`, "tool-1.0", living].sort());
});
