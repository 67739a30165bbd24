/** The whole way with the real CLI and engine: what a user sees, and what is left on the host. */
import { copyFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Result } from "execa";
import { query } from "../../src/client/index.js";
import { destroyVm, listRecords } from "../../src/launcher/index.js";
import { vmsDir } from "../../src/paths.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { k, startLoad } from "../support/load.js";
import { expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
let project: PulumiProject;
let rvfPath: string;

beforeAll(async () => {
  rvfPath = join(state.dir, "db.rvf");
  await copyFile(await sampleRvf(), rvfPath);
  project = await openProject({
    directory: fileURLToPath(new URL("../fixtures/projects/args", import.meta.url)),
    workFolder: state.dir,
    stack: "lifecycle",
    env: process.env,
  });
});

/** Sets the resource's arguments and runs `pulumi up`. */
async function up(args: Record<string, unknown>, ...flags: string[]): Promise<Result> {
  await project.pulumi(["config", "set", "args", JSON.stringify(args)]);
  return await project.pulumi(["up", "--yes", "--skip-preview", ...flags], { reject: false });
}

const pulumi = async (...args: string[]) => await project.pulumi(args, { reject: false });

interface Deployment {
  deployment: { resources: { type: string; outputs: Record<string, unknown> }[] };
}

/** The resource's outputs as they stand in the state, if it is there; the stack's own outputs are as old as the last `up`. */
async function stored(): Promise<Record<string, unknown> | undefined> {
  const { stdout } = await project.pulumi(["stack", "export", "--stack", "lifecycle"]);
  const { deployment } = JSON.parse(String(stdout)) as Deployment;
  return deployment.resources.find(({ type }) => type.endsWith("microvm:MicroVm"))?.outputs;
}

const output = async (): Promise<Record<string, unknown>> => (await stored())!;

const text = (result: Result) => String(result.all);

/** Asserts on the exit status with the CLI's own words in the failure. */
function expectDone(result: Result): void {
  if (result.exitCode !== 0) throw new Error(`${result.command}\n${text(result)}`);
}

describe("a MicroVm's life", () => {
  const args = () => ({ rvfPath, memoryMb: 128, apiPort: 0 });

  test("up boots it, and it answers with the neighbours that the host finds", async () => {
    expectDone(await up(args()));
    const { url, status, vmId } = await output();
    expect(status).toBe("running");
    expectNeighbours(
      await query(String(url), sampleQuery(7), 5),
      neighboursOnHost(rvfPath, sampleQuery(7), 5),
    );
    expect((await listRecords()).map((record) => record.vmId)).toEqual([vmId]);
  });

  test("refresh, preview and a second up see no change", async () => {
    expectDone(await pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes"));
    expectDone(await pulumi("preview", "--diff", "--expect-no-changes"));
    expectDone(await up(args(), "--expect-no-changes"));
  });

  test("other memory relaunches it under the same id and port, while no query fails", async () => {
    const before = await output();
    const vector = sampleQuery(8);
    const ids = neighboursOnHost(rvfPath, vector, k).map(({ id }) => id);
    const load = startLoad({
      urls: [String(before["url"])],
      questions: [{ vector, answers: [ids.join()] }],
    });
    try {
      expectDone(await up({ ...args(), memoryMb: 160 }));
    } finally {
      await load.stop();
    }
    expect(load.taken()).toMatchObject({ failed: [], wrong: [] });
    const after = await output();
    expect(after["vmId"]).toBe(before["vmId"]);
    expect(after["url"]).toBe(before["url"]);
    expect(after["pid"]).not.toBe(before["pid"]);
    expect(await query(String(after["url"]), sampleQuery(8), 1)).toHaveLength(1);
  });

  test("one that was removed for good is gone from the state with a refresh, and up makes it anew", async () => {
    const vmId = String((await output())["vmId"]);
    await destroyVm(vmId, { from: "sigkill" });
    const refreshed = await pulumi("refresh", "--yes", "--skip-preview");
    expectDone(refreshed);
    expect(text(refreshed)).toContain(
      `db: ${vmId} is gone, with no record of it in ${vmsDir()}; \`pulumi up\` starts it anew`,
    );
    expect(await stored()).toBeUndefined();
    expectDone(await up(args()));
    const made = await output();
    expect(made["status"]).toBe("running");
    expect(made["vmId"]).not.toBe(vmId);
  });

  test("destroy powers it down by its guest and leaves nothing", async () => {
    const destroyed = await pulumi("destroy", "--yes", "--skip-preview");
    expectDone(destroyed);
    expect(text(destroyed)).toMatch(/db-[0-9a-f]{8}: powered off by its guest \(powerdown\) after \d+ ms/);
    expect(await leftovers()).toEqual([]);
  });
});

describe("bad input", () => {
  afterEach(async () => expect(await leftovers()).toEqual([]));

  test("is refused at preview, by name", async () => {
    await project.pulumi(["config", "set", "args", JSON.stringify({ rvfPath: "missing.rvf", memoryMb: 1 })]);
    const preview = await pulumi("preview");
    expect(preview.exitCode).not.toBe(0);
    expect(text(preview)).toMatch(/property memoryMb value \{1\} has a problem/);
    await project.pulumi(["config", "set", "args", JSON.stringify({ rvfPath: "missing.rvf" })]);
    expect(text(await pulumi("preview"))).toMatch(/property rvfPath .* FileNotFound: /);
  });

  test("a taken port is named with its process", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((listening) => server.once("listening", listening));
    try {
      const { port } = server.address() as AddressInfo;
      const refused = await up({ rvfPath, apiPort: port });
      expect(refused.exitCode).not.toBe(0);
      expect(text(refused)).toContain(`PortInUse: port ${port} on 127.0.0.1 is taken by pid ${process.pid}`);
    } finally {
      server.close();
    }
  });
});

describe("what does not come up", () => {
  const options = async (customTimeouts: object) =>
    await project.pulumi(["config", "set", "options", JSON.stringify({ customTimeouts })]);
  const good = () => ({ rvfPath, apiPort: 0 });
  let bad: Record<string, unknown>;

  beforeAll(async () => {
    const initramfsPath = join(state.dir, "not-an-initramfs");
    await writeFile(initramfsPath, "nothing that a kernel could run\n");
    bad = { ...good(), initramfsPath };
    await options({ delete: "1ms" });
  });

  test("a guest that panics is told with its console and kept in the state, and a correct up mends it", async () => {
    const panicked = await up(bad);
    expect(panicked.exitCode).not.toBe(0);
    expect(text(panicked)).toMatch(/QemuExited: the guest's kernel panicked/);
    expect(text(panicked)).toContain("Kernel panic - not syncing");
    const { vmId, status } = await output();
    expect(status).toMatch(/^its launch failed: QemuExited: /);

    expectDone(await up(good()));
    expect(await output()).toMatchObject({ vmId, status: "running" });
  });

  test("in the place of one that was stopped for it: that one is booted again, and the state has it", async () => {
    const { vmId, url } = await output();
    const failed = await up({ ...bad, updateStrategy: "stopFirst" });
    expect(failed.exitCode).not.toBe(0);
    expect(text(failed)).toContain('while the new one boots: updateStrategy is "stopFirst"');
    expect(text(failed)).toMatch(/QemuExited: the guest's kernel panicked/);
    expect(text(failed)).toContain("The VM was booted again as it was before this update.");
    expect(await output()).toMatchObject({ vmId, url, status: "running" });
    expect(await query(String(url), sampleQuery(1), 1)).toHaveLength(1);
  });

  test("an update beyond customTimeouts is called off, and a delete beyond it kills", async () => {
    const before = await output();
    await options({ update: "1ms", delete: "1ms" });
    const late = await up({ ...good(), memoryMb: 160 });
    expect(late.exitCode).not.toBe(0);
    expect(text(late)).toContain("Timeout: the update took longer than customTimeouts allows, 1ms");
    expect(await output()).toMatchObject({ pid: before["pid"], memoryMb: 128, status: "running" });
    const destroyed = await pulumi("destroy", "--yes", "--skip-preview");
    expectDone(destroyed);
    expect(text(destroyed)).toContain("customTimeouts.delete allows 1ms");
    expect(await leftovers()).toEqual([]);
  });
});
