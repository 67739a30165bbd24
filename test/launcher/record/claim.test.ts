/** Which VM a create takes for one that an interrupted create has left: by the records alone, nothing is booted. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { claimVm, unclaimedVm } from "../../../src/launcher/record/claim.js";
import { createVm } from "../../../src/launcher/create.js";
import { withVmLock } from "../../../src/launcher/record/lock.js";
import { readRecord, type VmRecord } from "../../../src/launcher/record/record.js";
import { writeRecord } from "../../../src/launcher/record/write.js";
import { recordWith } from "../../support/record.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "claim-"));
  process.env["MICROVM_STATE_DIR"] = dir;
});
afterEach(async () => await rm(dir, { recursive: true, force: true }));

const owner = { project: "p", stack: "s", resource: "db" };
const here = process.cwd();

const record = async (changes: Partial<VmRecord>, vmId = "db-1"): Promise<void> =>
  await writeRecord(recordWith({ vmId, owner, unclaimed: here, ...changes }));

const isUnclaimed = async (vmId: string): Promise<boolean> =>
  (await readRecord(vmId))?.unclaimed !== undefined;

test.each<[string, Partial<VmRecord>, string | undefined]>([
  ["ready and unclaimed", {}, "db-1"],
  ["claimed", { unclaimed: undefined }, undefined],
  ["made by the same stack of another checkout", { unclaimed: "/elsewhere" }, undefined],
  ["another resource's", { owner: { ...owner, resource: "other" } }, undefined],
  ["the command's", { owner: null }, undefined],
  ["never ready", { phase: "creating" }, undefined],
  ["on its way down", { phase: "stopping" }, undefined],
])("a VM that is %s: %o", async (_, changes, found) => {
  await record(changes);
  expect(await unclaimedVm(owner, {})).toBe(found);
});

test("what somebody is still at work on is looked at when that is done", async () => {
  await record({ phase: "creating" });
  let found: Promise<string | undefined>;
  await withVmLock("db-1", async () => {
    found = unclaimedVm(owner, {});
    await record({ phase: "ready" });
  });
  expect(await found!).toBe("db-1");
});

test("a claim stays, waits for nobody, and is no matter where there is no VM", async () => {
  await claimVm("db-1");
  await record({});
  await withVmLock("db-1", async () => await claimVm("db-1"));
  expect(await isUnclaimed("db-1")).toBe(true);
  await claimVm("db-1");
  expect(await isUnclaimed("db-1")).toBe(false);
  expect(await readRecord("db-1")).toMatchObject({ phase: "ready", owner });
});

test("a create clears away what one in the same folder left half made, and nothing of another checkout", async () => {
  await record({ phase: "creating" });
  await record({ phase: "creating", unclaimed: "/elsewhere", failure: "late" }, "db-2");
  await expect(createVm({ rvfPath: join(dir, "missing.rvf") }, { owner })).rejects.toThrow("missing.rvf");
  expect(await readRecord("db-1")).toBeUndefined();
  expect(await readRecord("db-2")).toBeDefined();
});
