/** A kernel that must be signed, with the real CLI: what a tampered file does to a VM that runs. Nothing. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Result } from "execa";
import { query } from "../../src/client/index.js";
import { listRecords, statusOfRecord } from "../../src/launcher/index.js";
import { embedKernel, generateKeyPair } from "../../src/rvf/index.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { makeSampleRvf, sampleQuery } from "../../tools/sample-rvf.js";
import { forged } from "../support/forge.js";
import { appliancePath } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const { publicKey, privateKey } = generateKeyPair();
const stranger = generateKeyPair();
let project: PulumiProject;
let rvfPath: string;

beforeAll(async () => {
  rvfPath = join(state.dir, "db.rvf");
  await makeSampleRvf(join(state.dir, "plain.rvf"), { count: 100 });
  await embedKernel(join(state.dir, "plain.rvf"), { image: appliancePath(), privateKey, out: rvfPath });
  project = await openProject({
    directory: fileURLToPath(new URL("../fixtures/projects/args", import.meta.url)),
    workFolder: state.dir,
    stack: "trust",
    env: process.env,
  });
});

const pulumi = async (...args: string[]): Promise<Result> => await project.pulumi(args, { reject: false });
const configure = async (...trustedKeys: string[]) => {
  const args = { rvfPath, apiPort: 0, verification: "signed", trustedKeys };
  await project.pulumi(["config", "set", "--plaintext", "args", JSON.stringify(args)]);
};

/** The only VM there is, which answers. */
async function theVm() {
  const records = await listRecords();
  expect(records).toHaveLength(1);
  const vm = await statusOfRecord(records[0]!);
  expect(await query(vm.url, sampleQuery(1), 2)).toHaveLength(2);
  return vm;
}

/** Replaces the file in one step, as a careful deployment does. */
async function replaceStore(bytes: Buffer): Promise<void> {
  await writeFile(`${rvfPath}.new`, bytes);
  await rename(`${rvfPath}.new`, rvfPath);
}

const failed = ({ exitCode, all }: Result): string => {
  expect(exitCode).not.toBe(0);
  return String(all);
};

test("a private key among the trusted ones is refused at preview and shown nowhere", async () => {
  await configure(publicKey, privateKey);
  const words = failed(await pulumi("preview"));
  expect(words).toContain("it is a private one");
  expect(words).toContain("trustedKeys");
  expect(words).not.toContain(privateKey.split("\n")[1]);
  expect(await leftovers()).toEqual([]);
});

test("a kernel signed by somebody else is refused at preview", async () => {
  await configure(stranger.publicKey);
  expect(failed(await pulumi("preview"))).toMatch(
    /property rvfPath .* KernelUntrusted: .*by none of the trusted keys/,
  );
  expect(await leftovers()).toEqual([]);
});

test("with the signer's key it boots, and kernelIntegrity says why", async () => {
  await configure(stranger.publicKey, publicKey);
  const done = await pulumi("up", "--yes", "--skip-preview");
  if (done.exitCode !== 0) throw new Error(String(done.all));
  expect((await theVm()).kernelIntegrity).toMatch(
    /^signature of its segment by trusted key [0-9a-f]{32}; image hash SHA3-256 matches; segment hash \S+ matches$/,
  );
  expect((await project.outputs())["db"]).toMatchObject({ kernelIntegrity: (await theVm()).kernelIntegrity });
});

test.each([
  ["changed image", {}, "KernelDamaged"],
  ["forged image, all its hashes set right", { imageHash: true }, "KernelUntrusted"],
])("a file with a %s stops preview and up; the VM goes on", async (_, options, code) => {
  const before = await theVm();
  const good = await readFile(rvfPath);
  await replaceStore(forged(good, options));
  for (const command of [["preview"], ["up", "--yes", "--skip-preview"]])
    expect(failed(await pulumi(...command))).toContain(`${code}: `);
  expect(await theVm()).toEqual(before);
  await replaceStore(good);
  const calm = await pulumi("preview", "--expect-no-changes");
  if (calm.exitCode !== 0) throw new Error(String(calm.all));
});

test("destroy leaves nothing, also while the file is a tampered one", async () => {
  await replaceStore(forged(await readFile(rvfPath)));
  const done = await pulumi("destroy", "--yes", "--skip-preview");
  if (done.exitCode !== 0) throw new Error(String(done.all));
  expect(await leftovers()).toEqual([]);
});
