/** What happens to a VM whose `pulumi up` is stopped half-way by hand: nothing stays, and the next `up` works. */
import { fileURLToPath } from "node:url";
import { query } from "../../src/client/index.js";
import { listRecords, statusOfRecord } from "../../src/launcher/index.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { sampleQuery } from "../../tools/sample-rvf.js";
import { sampleRvf, stuckRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { eventually } from "../support/wait.js";

const state = privateState();
let project: PulumiProject;

beforeAll(async () => {
  project = await openProject({
    directory: fileURLToPath(new URL("../fixtures/projects/args", import.meta.url)),
    workFolder: state.dir,
    stack: "interrupted",
    env: process.env,
  });
});

/** A plugin whose engine was killed finds out at the end of its launch, so that must not take a minute. */
const use = async (rvfPath: string, readyTimeoutSeconds = 60) =>
  await project.pulumi([
    ...["config", "set", "args"],
    JSON.stringify({ rvfPath, apiPort: 0, readyTimeoutSeconds }),
  ]);

/** Starts `up` of a guest that never gets ready, and waits until QEMU runs. */
async function upUntilBooting() {
  await use(await stuckRvf(), 15);
  const up = project.start(["up", "--yes", "--skip-preview"]);
  await eventually(async () => {
    const [record] = await listRecords();
    return record !== undefined && (await statusOfRecord(record)).pid !== 0;
  });
  return { up };
}

/** Once the interrupted `up`'s plugin has cleaned up. */
async function expectUpAndDestroy(): Promise<void> {
  await eventually(async () => (await leftovers()).length === 0);
  await use(await sampleRvf());
  await project.pulumi(["up", "--yes", "--skip-preview"]);
  const records = await listRecords();
  expect(records).toHaveLength(1);
  const { url } = await statusOfRecord(records[0]!);
  expect(await query(url, sampleQuery(3), 2)).toHaveLength(2);
  await project.pulumi(["destroy", "--yes", "--skip-preview"]);
  expect(await leftovers()).toEqual([]);
}

test("Ctrl-C twice leaves no VM, and the next up makes one", async () => {
  const { up } = await upUntilBooting();
  let words = "";
  up.all.on("data", (chunk: Buffer) => (words += chunk.toString()));
  up.kill("SIGINT");
  await eventually(() => words.includes("press ^C again"));
  up.kill("SIGINT");
  const result = await up;
  expect(result.exitCode).not.toBe(0);
  await expectUpAndDestroy();
});

test("a killed CLI leaves no VM, and after `pulumi cancel` the next up makes one", async () => {
  const { up } = await upUntilBooting();
  up.kill("SIGKILL");
  await up;
  await project.pulumi(["cancel", "--yes", "interrupted"]);
  await expectUpAndDestroy();
});
