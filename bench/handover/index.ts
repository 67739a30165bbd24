/** Ten updates of a VM that is asked all the while: what becomes of the queries, and how long the ports are on their way. */
import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { either, k, startLoad, type Load, type Question, type Tally } from "../../test/support/load.js";
import { freePort } from "../../test/support/ports.js";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { makeSampleRvf, neighboursOfEach, sampleQuery } from "../../tools/sample-rvf.js";
import { fromRepository } from "../../tools/setup/repository.js";
import type { Benchmark, Measured, Series } from "../benchmark.js";
import { ownVersion } from "../machine.js";
import { changes, vectors, type Args } from "./changes.js";

/** Where the updates were done before as many were asked, the load goes on. */
const QUERIES = 5000;

interface Update extends Tally {
  /** How long the ports took to move, and how long one of them was open nowhere, as the launcher says. */
  moveMs: number;
  closedMs: number;
  isInPlace: boolean;
}

export const handover: Benchmark = {
  title: `pulumi up, ${changes.length} times, while at least ${QUERIES} queries are asked`,
  parts: ["package", "qemu", "appliance", "pulumi"],
  charts: [
    {
      kind: "bars",
      name: "ports",
      title: "Ports during updates under load, ms",
      bars: [
        { label: "changed in place", series: ["ports changed in place"] },
        { label: "of these, open nowhere", series: ["ports changed in place: open nowhere"] },
        { label: "handed over to the next VM", series: ["ports handed over to the next VM"] },
        { label: "of these, open nowhere", series: ["ports handed over: open nowhere"] },
      ],
    },
  ],
  run: async (say, env) => {
    const folder = await mkdtemp(join(tmpdir(), "microvm-bench-"));
    const project = await openProject({
      directory: fromRepository("test/fixtures/projects/args"),
      workFolder: folder,
      stack: "handover",
      env: { ...process.env, ...env, MICROVM_CACHE_DIR: join(folder, "cache") },
    });
    try {
      const updates = await updateUnderLoad(project, folder, env["MICROVM_APPLIANCE"]!, say);
      return { ...evaluate(updates), versions: { "pulumi-microvm": await ownVersion() } };
    } finally {
      await project.pulumi(["destroy", "--yes", "--skip-preview"]);
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function updateUnderLoad(
  project: PulumiProject,
  folder: string,
  image: string,
  say: (line: string) => void,
): Promise<Update[]> {
  let args: Args = { rvfPath: join(folder, "db.rvf"), apiPort: await freePort() };
  // Made before: what keeps this process busy keeps the clients from their answers.
  const contents = new Map<number, Content>();
  for (const count of new Set([vectors, ...changes.flatMap((change) => change.vectors ?? [])]))
    contents.set(count, await makeContent(join(folder, `${count}.rvf`), image, count));
  let questions = await put(contents.get(vectors)!, args.rvfPath);
  await up(project, args);
  const load = startLoad({ urls: [urlOf(args)], questions });
  const updates: Update[] = [];
  try {
    for (const { what, vectors: count, make } of changes) {
      const before = { args, questions };
      if (count !== undefined) questions = await put(contents.get(count)!, args.rvfPath);
      args = (await make?.(args, folder)) ?? args;
      // While the change is made, either may be met.
      load.aim = { urls: [urlOf(before.args), urlOf(args)], questions: either(before.questions, questions) };
      const start = performance.now();
      const words = await up(project, args);
      const seconds = (performance.now() - start) / 1000;
      load.aim = { urls: [urlOf(args)], questions };
      if (updates.length === changes.length - 1) await enough(load, updates);
      const update = { ...load.taken(), ...moveIn(words) };
      updates.push(update);
      say(`${what} (${seconds.toFixed(1)} s): ${describe(update)}`);
    }
    return updates;
  } finally {
    await load.stop();
  }
}

interface Content {
  file: string;
  questions: Question[];
}

async function makeContent(file: string, image: string, count: number): Promise<Content> {
  await makeSampleRvf(file, { image, count });
  const asked = Array.from({ length: 20 }, (_, i) => sampleQuery(i));
  const found = neighboursOfEach(file, asked, k);
  const idsOf = (i: number): string => found[i]!.map(({ id }) => id).join();
  return { file, questions: asked.map((vector, i) => ({ vector, answers: [idsOf(i)] })) };
}

/** Exchanges the RVF as a careful user does, in one step. Returns what is answered from then on. */
async function put({ file, questions }: Content, rvfPath: string): Promise<Question[]> {
  await copyFile(file, `${rvfPath}.next`);
  await rename(`${rvfPath}.next`, rvfPath);
  return questions;
}

async function up(project: PulumiProject, args: Args): Promise<string> {
  await project.pulumi(["config", "set", "args", JSON.stringify(args)]);
  return String((await project.pulumi(["up", "--yes", "--skip-preview"])).all);
}

const urlOf = ({ apiPort }: Args): string => `http://127.0.0.1:${apiPort}`;

const sum = (tallies: Tally[], count: (tally: Tally) => number): number =>
  tallies.reduce((total, tally) => total + count(tally), 0);

async function enough(load: Load, before: Tally[]): Promise<void> {
  const asked = sum(before, ({ queries }) => queries);
  while (asked + load.asked() < QUERIES) await sleep(100);
}

function moveIn(words: string): Pick<Update, "moveMs" | "closedMs" | "isInPlace"> {
  const found =
    /ports (handed over|changed on the running VM) in ([\d.]+) ms(?:, closed for ([\d.]+) ms)?/.exec(words);
  if (!found) throw new Error(`This update moved no port:\n${words}`);
  const [, how, moveMs, closedMs = 0] = found;
  return { moveMs: Number(moveMs), closedMs: Number(closedMs), isInPlace: how !== "handed over" };
}

function describe({ queries, refused, failed, wrong, moveMs, closedMs, isInPlace }: Update): string {
  const how = isInPlace ? "changed in place" : "handed over";
  const counts = `${queries} queries, ${refused} refused once, ${failed.length} failed, ${wrong.length} wrong`;
  return [
    `${counts}; ports ${how} in ${moveMs} ms, closed for ${closedMs}`,
    ...failed.slice(0, 5),
    ...wrong.slice(0, 5),
  ].join("\n  ");
}

function evaluate(updates: Update[]): Omit<Measured, "versions"> {
  const total = (name: string, count: (tally: Tally) => number, target?: Series["target"]): Series => ({
    name,
    unit: "",
    samples: [sum(updates, count)],
    ...(target && { target }),
  });
  const times = (
    name: string,
    among: Update[],
    pick: (update: Update) => number,
    atMost?: number,
  ): Series => ({
    name,
    unit: "ms",
    samples: among.map(pick),
    ...(atMost !== undefined && { target: { atMost } }),
  });
  const [inPlace, beside] = [updates.filter((one) => one.isInPlace), updates.filter((one) => !one.isInPlace)];
  return {
    method: [
      "Six clients ask steadily, three of them on a connection each that they keep, three on a new one for each query. A new",
      "connection that is refused, or closed before a byte of a reply, is made once more; one that was kept must never fail. Every",
      "answer is compared with what the format's own library finds. How long the ports moved is the launcher's own word.",
    ],
    series: [
      total("queries", ({ queries }) => queries, { atLeast: QUERIES }),
      total("failed", ({ failed }) => failed.length, { atMost: 0 }),
      total("wrong answers", ({ wrong }) => wrong.length, { atMost: 0 }),
      total("new connections refused, then made", ({ refused }) => refused),
      times("ports changed in place", inPlace, ({ moveMs }) => moveMs, 10),
      times("ports changed in place: open nowhere", inPlace, ({ closedMs }) => closedMs, 10),
      times("ports handed over to the next VM", beside, ({ moveMs }) => moveMs),
      times("ports handed over: open nowhere", beside, ({ closedMs }) => closedMs),
    ],
    ratios: [],
  };
}
