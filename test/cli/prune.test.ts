/** `microvm prune` as a user sees it. What it removes and why is the launcher's to test. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PruneReport } from "../../src/launcher/index.js";
import { writeRecord } from "../../src/launcher/record/write.js";
import { vmDir } from "../../src/launcher/record/vm-folder.js";
import { vmsDir } from "../../src/paths.js";
import { untold } from "../support/docs.js";
import { recordWith } from "../support/record.js";
import { run } from "./in-process.js";
import { errorIn } from "./outcome.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "microvm-cli-"));
  process.env["MICROVM_STATE_DIR"] = dir;
  await mkdir(vmDir("nameless"), { recursive: true });
  const owner = { project: "p", stack: "s", resource: "db" };
  await writeRecord(recordWith({ vmId: "owned", owner, phase: "creating" }));
});
afterAll(() => rm(dir, { recursive: true }));

/** Others' sockets in the common temporary folder are none of this test's. */
const own = (text: string): string[] => text.split("\n").filter((line) => !line.includes("sockets of a VM"));
const left =
  "left owned: its launch was interrupted; it belongs to the Pulumi stack p/s. `pulumi up` starts it again, " +
  "`pulumi destroy` removes it; `microvm prune --all` removes it here alone.";

test("a dry run, the removal, and that of Pulumi's too, in words", async () => {
  const dry = await run("prune", "--dry-run");
  expect(dry).toMatchObject({ status: 0, stderr: "" });
  expect(own(dry.stdout)).toEqual(["would remove nameless: a folder without a record", left]);
  expect(own((await run("prune")).stdout)).toEqual(["removed nameless: a folder without a record", left]);
  expect(await readdir(vmsDir())).toEqual(["owned"]);
});

test("what cannot be judged or removed is status 1, also where nothing else is left", async () => {
  const folder = vmDir("stuck");
  await writeRecord(recordWith({ vmId: "stuck" }));
  // A lock that says nothing of its holder.
  await writeFile(join(folder, "lock.1"), "");
  const outcome = await run("prune");
  expect(outcome.status).toBe(1);
  expect(own(outcome.stdout)).toContainEqual(
    expect.stringMatching(/^left stuck: cannot tell who works on stuck: /),
  );
  expect(outcome.stderr).toContain(`Io: cannot be judged or removed: ${folder}\n`);
  const document = await run("prune", "--json");
  expect(errorIn(document).code).toBe("Io");
  const { kept } = JSON.parse(document.stdout) as PruneReport;
  expect(kept).toContainEqual(expect.objectContaining({ vmId: "stuck", failed: true }));
  await rm(folder, { recursive: true });
});

test("as JSON, and when there is nothing", async () => {
  const { status, stdout, stderr } = await run("prune", "--all", "--json");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const report = JSON.parse(stdout) as PruneReport;
  expect(await untold(report, "`prune`")).toEqual([]);
  const { removed, kept } = report;
  expect(kept).toEqual([]);
  expect(removed).toContainEqual({
    vmId: "owned",
    path: vmDir("owned"),
    what: "its launch was interrupted",
  });
  expect([["nothing to remove"], []]).toContainEqual(own((await run("prune")).stdout));
});
