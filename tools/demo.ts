/**
 * `npm run demo`: the main job from end to end on real parts, told as it goes. An RVF file gets vectors and a kernel,
 * `pulumi up` boots it, it answers a query with the right neighbours, and `pulumi destroy` powers it down.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { Command } from "commander";
import pc from "picocolors";
import { query } from "../src/client/index.js";
import { destroyVm, isPortFree, listRecords, statusOf } from "../src/launcher/index.js";
import { leftOfVm } from "./leftovers.js";
import { configFileOf, openProject, type PulumiProject } from "./pulumi-project.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "./sample-rvf.js";
import { ensureParts } from "./setup/index.js";
import { fromRepository } from "./setup/repository.js";
import { main } from "./steps.js";

const workFolder = fromRepository(".cache/demo");
const pidFile = fromRepository(".cache/demo.pid");
const stack = "demo";
const rvfPath = join(workFolder, "db.rvf");
const [count, dimension, neighbours] = [3000, 32, 5];

async function demo(env: NodeJS.ProcessEnv, keep: boolean): Promise<void> {
  await clearFormerRun();

  step(
    `An RVF file with ${count} vectors of dimension ${dimension}, and the appliance embedded as its kernel`,
  );
  const start = performance.now();
  await makeSampleRvf(rvfPath, { count, dimension, image: env["MICROVM_APPLIANCE"] });
  say(`${relative(process.cwd(), rvfPath)}\n(${seconds(performance.now() - start)})`);

  step(
    "pulumi up: the program in examples/db declares new MicroVm(...), QEMU boots the kernel out of the RVF",
  );
  const project = await openProject({
    directory: fromRepository(),
    workFolder,
    stack,
    env,
  });
  const { pulumi } = project;
  await pulumi(["config", "set", "rvfPath", rvfPath]);
  await pulumi(["config", "set", "memoryMb", "256"]);
  if (!(await isPortFree(8080))) {
    say("port 8080 is taken, so a free one is used");
    await pulumi(["config", "set", "apiPort", "0"]);
  }
  await shown(pulumi, ["up", "--yes", "--skip-preview"]);
  const booted = await project.outputs();

  step("A vector query over HTTP, compared with what @ruvector/rvf-node finds in the same file on the host");
  const queryMillis = await queryAndCompare(String(booted["url"]));

  step("pulumi refresh, then pulumi up: nothing changed");
  await shown(pulumi, ["refresh", "--yes", "--skip-preview", "--expect-no-changes"]);
  await shown(pulumi, ["up", "--yes", "--skip-preview", "--expect-no-changes"]);

  step("pulumi up with memoryMb 320 instead of 256: an update relaunches the VM");
  await pulumi(["config", "set", "memoryMb", "320"]);
  await shown(pulumi, ["up", "--yes", "--skip-preview"]);
  const updated = await project.outputs();
  if (updated["vmId"] !== booted["vmId"])
    throw new Error("the update replaced the VM instead of relaunching it");
  await queryAndCompare(String(updated["url"]));

  if (keep) return explain(project, updated);

  step("pulumi destroy: the guest powers itself down, nothing stays");
  const { vmId, qmpSocket } = (await statusOf(String(updated["vmId"])))!;
  const destroyed = await shown(pulumi, ["destroy", "--yes", "--skip-preview"]);
  await assertNothingLeft(vmId, qmpSocket);
  const [, ending = "unknown", millis = "?"] = /\((\w+)\) after (\d+) ms/.exec(destroyed) ?? [];

  console.log(`
  accelerator   ${String(booted["accelerator"])}
  boot          ${seconds(booted["bootMillis"])} from QEMU's start to the first HTTP answer
  query         ${queryMillis.toFixed(0)} ms, ${neighbours} nearest of ${count}
  shut-down     ${millis} ms, by ${ending}
`);
}

const seconds = (millis: unknown): string => `${(Number(millis) / 1000).toFixed(2)} s`;
const step = (title: string): void => console.log(`\n${pc.bold(pc.cyan("▸"))} ${pc.bold(title)}`);
const say = (text: string): void => console.log(pc.dim(text.replace(/^/gm, "  ")));

/** Whatever a former run left when it was killed half-way, or was told to keep. One that still runs is left alone. */
async function clearFormerRun(): Promise<void> {
  const other = await readFile(pidFile, "utf8").catch(() => "");
  const command = await readFile(`/proc/${other}/cmdline`, "utf8").catch(() => "");
  if (Number(other) !== process.pid && command.includes("demo.ts"))
    throw new Error(`a demo is running already, as process ${other}`);
  await mkdir(dirname(pidFile), { recursive: true });
  await writeFile(pidFile, String(process.pid));
  process.env["MICROVM_STATE_DIR"] = join(workFolder, "state");
  for (const { vmId } of await listRecords()) {
    say(`removing ${vmId} of a former run`);
    await destroyVm(vmId);
  }
  await rm(workFolder, { recursive: true, force: true });
  await mkdir(workFolder, { recursive: true });
}

/** Runs the CLI with its own words on the screen, and returns them. */
async function shown(pulumi: PulumiProject["pulumi"], args: string[]): Promise<string> {
  console.log(pc.dim(`  $ pulumi ${args.join(" ")}`));
  const start = performance.now();
  const result = await pulumi([...args, "--color", "never", "--suppress-outputs"], { reject: false });
  const text = String(result.all);
  // Dots of progress and blank lines say nothing in a log.
  say(
    text
      .replace(/^\s*@ .*\n/gm, "")
      .trim()
      .replace(/\n\s*\n/g, "\n"),
  );
  if (result.failed) throw new Error(`pulumi ${args[0]} failed with status ${result.exitCode}`);
  say(`(${seconds(performance.now() - start)})`);
  return text;
}

async function queryAndCompare(url: string): Promise<number> {
  const vector = sampleQuery(1, dimension);
  const start = performance.now();
  const answer = await query(url, vector, neighbours);
  const millis = performance.now() - start;
  const expected = neighboursOnHost(rvfPath, vector, neighbours);
  say(`guest: ${answer.map(({ id, distance }) => `${id} (${distance.toFixed(4)})`).join(", ")}`);
  say(`host:  ${expected.map(({ id, distance }) => `${id} (${distance.toFixed(4)})`).join(", ")}`);
  const ids = (list: { id: number }[]) => list.map(({ id }) => id);
  if (!isDeepStrictEqual(ids(answer), ids(expected)))
    throw new Error("the guest's neighbours are not the host's");
  say(`the same, in ${millis.toFixed(0)} ms`);
  return millis;
}

async function assertNothingLeft(vmId: string, qmpSocket: string): Promise<void> {
  const records = (await listRecords()).map((record) => `record ${record.vmId}`);
  const left = [...(await leftOfVm(vmId, qmpSocket)), ...records];
  if (left.length > 0) throw new Error(`destroy left ${left.join(", ")}`);
  say(`no process, folder, socket or record of ${vmId} is left`);
}

function explain({ env }: PulumiProject, { vmId, url }: Record<string, unknown>): void {
  const set = ["PATH", "PULUMI_BACKEND_URL", "PULUMI_HOME", "PULUMI_CONFIG_PASSPHRASE", "MICROVM_STATE_DIR"];
  const exports = set.map((key) => `export ${key}='${env[key]}'`).join("\n");
  const vector = JSON.stringify(sampleQuery(2, dimension).map((x) => Number(x.toFixed(3))));
  console.log(`
The VM ${String(vmId)} stays up at ${String(url)}. To talk to it:

curl ${String(url)}/v1/status
curl -H 'content-type: application/json' -d '{"vector":${vector},"k":3}' ${String(url)}/v1/query

To go on with it in this shell, and to remove it:

${exports}
npx microvm ls
npx microvm logs ${String(vmId)}
pulumi destroy --yes --stack ${stack} --config-file ${configFileOf(workFolder, stack)}
`);
}

await main(async () => {
  const { keep } = new Command("npm run demo --")
    .description("boot an RVF with Pulumi, query it, update it, destroy it")
    .option("--keep", "leave the VM running and print how to talk to it")
    .parse()
    .opts<{ keep?: boolean }>();
  const env = { ...process.env, ...(await ensureParts(["qemu", "package", "pulumi", "appliance"])) };
  await demo(env, keep ?? false);
});
