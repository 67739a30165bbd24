/** `microvm stop` and `kill` of VMs whose record is lost. Those of VMs that run are in vm.integration.test.ts. */
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vmDir } from "../../src/launcher/record/vm-folder.js";
import { vmsDir } from "../../src/paths.js";
import { run } from "./in-process.js";
import { errorIn } from "./outcome.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "microvm-cli-"));
  process.env["MICROVM_STATE_DIR"] = dir;
});
afterAll(() => rm(dir, { recursive: true }));

test.each(["stop", "kill"])("%s of a folder without a record removes it and says so, once", async (name) => {
  await mkdir(join(vmDir("nameless"), "1"), { recursive: true });
  expect(await run(name, "nameless")).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^nameless: was already off .*; its files are removed$/) as string,
  });
  expect(await readdir(vmsDir())).toEqual([]);
  const again = await run(name, "nameless", "--json");
  expect(again.status).toBe(1);
  expect(errorIn(again)).toMatchObject({ code: "VmNotFound" });
});

test("what kept the files from being removed is told", async () => {
  // The name that it would get for its removal is longer than a file's may be.
  const vmId = "x".repeat(240);
  await mkdir(vmDir(vmId), { recursive: true });
  const outcome = await run("kill", vmId, "--json");
  expect(outcome.status).toBe(1);
  expect(errorIn(outcome)).toMatchObject({
    code: "Io",
    message: expect.stringMatching(/^cannot remove the files of x+: ENAMETOOLONG/) as string,
  });
});
