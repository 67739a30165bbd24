/** What Pulumi adds: `pulumi up` with a MicroVm against the same with a resource that does nothing, and the plugin's calls against a bare QEMU. */
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { fromRepository } from "../../tools/setup/repository.js";
import { asSent, startPlugin, type Plugin } from "../../test/provider/plugin.js";
import type { Question } from "../ask.js";
import { READY, startBare } from "../bare.js";
import type { Benchmark, Measured, Series, Target } from "../benchmark.js";
import { withLauncher, type Launcher } from "../launching.js";
import { installedVersion, ownVersion } from "../machine.js";
import { inRounds, seriesOf, type Outcome } from "../rounds.js";
import { ratio } from "../statistics.js";

const ROUNDS = 5;

/** One `pulumi up` after the other on a stack that is empty before and after. */
interface Ups {
  creating: number;
  unchanged: number;
}

/** The engine's calls, without the engine. */
interface Calls {
  create: number;
  delete: number;
}

interface Outcomes {
  ours: Outcome<Ups>;
  noop: Outcome<Ups>;
  launch: Outcome<number>;
  calls: Outcome<Calls>;
  bare: Outcome<number>;
}

export const provider: Benchmark = {
  title: "pulumi up with a MicroVm: one that creates it, and one without changes",
  parts: ["package", "qemu", "appliance", "pulumi"],
  charts: [
    {
      kind: "bars",
      name: "up",
      title: "pulumi up, ms",
      bars: [
        { label: "creates a resource that does nothing", series: ["up that creates, no-op"] },
        { label: "creates a MicroVm", series: ["up that creates, ours"] },
        { label: "the launcher alone", series: ["the launcher alone"] },
        { label: "without changes, nothing", series: ["up without changes, no-op"] },
        { label: "without changes, MicroVm", series: ["up without changes, ours"] },
      ],
    },
    {
      kind: "bars",
      name: "calls",
      title: "The provider's calls, ms",
      bars: [
        { label: "bare QEMU", series: ["bare QEMU"] },
        { label: "create", series: ["create"] },
        { label: "delete", series: ["delete"] },
      ],
    },
  ],
  run: async (say, env) =>
    await withLauncher(env, async (launcher) => {
      const { rvfPath, folder } = launcher;
      const args = { rvfPath, apiPort: 0, enableKvm: false };
      const vector = sampleQuery(1);
      const question = { vector, id: neighboursOnHost(rvfPath, vector, 1)[0]!.id };
      const open = async (stack: string, directory: string): Promise<PulumiProject> => {
        const projectEnv = { ...process.env, ...env };
        const place = { directory: fromRepository(directory), workFolder: folder, stack };
        const project = await openProject({ ...place, env: projectEnv });
        await project.pulumi(["config", "set", "args", JSON.stringify(args)]);
        return project;
      };
      const ours = await open("ours", "test/fixtures/projects/args");
      const noop = await open("noop", "test/fixtures/projects/noop");
      await using plugin = await startPlugin();
      const outcomes = await inRounds<Ups | Calls | number, keyof Outcomes>(
        ROUNDS,
        {
          ours: () => ups(ours),
          noop: () => ups(noop),
          launch: () => launchAlone(launcher, question),
          calls: () => calls(plugin, args),
          bare: () => bare(rvfPath, question),
        },
        say,
      );
      return {
        ...evaluate(outcomes as unknown as Outcomes),
        versions: {
          "pulumi-microvm": await ownVersion(),
          "@pulumi/pulumi": await installedVersion("@pulumi/pulumi"),
        },
      };
    }),
};

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function ups({ pulumi }: PulumiProject): Promise<Ups> {
  try {
    return {
      creating: await timed(() => pulumi(["up", "--yes", "--skip-preview"])),
      unchanged: await timed(() => pulumi(["up", "--yes", "--expect-no-changes"])),
    };
  } finally {
    await pulumi(["destroy", "--yes", "--skip-preview"]);
  }
}

async function launchAlone({ launch, rvfPath }: Launcher, { vector }: Question): Promise<number> {
  const start = performance.now();
  await using vm = await launch({ rvfPath, apiPort: 0, enableKvm: false });
  const millis = performance.now() - start;
  await vm.query(vector, 1);
  return millis;
}

async function calls(plugin: Plugin, args: object): Promise<Calls> {
  const { inputs } = await plugin.check(asSent(args));
  let made: Awaited<ReturnType<Plugin["create"]>>;
  const create = await timed(async () => (made = await plugin.create(inputs)));
  return { create, delete: await timed(() => plugin.delete(made.id, made.outs)) };
}

async function bare(rvfPath: string, question: Question): Promise<number> {
  await using qemu = await startBare({ rvfPath });
  await qemu.until("ready", READY);
  return await qemu.untilAnswer(question);
}

function evaluate({ ours, noop, launch, calls, bare }: Outcomes): Omit<Measured, "versions"> {
  const millis = <S>(outcome: Outcome<S>, name: string, pick: (sample: S) => number, target?: Target) =>
    seriesOf(outcome, { name, unit: "ms", ...(target && { target }) }, pick);
  const creating = {
    ours: millis(ours, "up that creates, ours", (one) => one.creating),
    noop: millis(noop, "up that creates, no-op", (one) => one.creating),
  };
  const unchanged = {
    ours: millis(ours, "up without changes, ours", (one) => one.unchanged),
    noop: millis(noop, "up without changes, no-op", (one) => one.unchanged),
  };
  const launched = millis(launch, "the launcher alone", (one) => one);
  const create = millis(calls, "create", (one) => one.create);
  const byHand = millis(bare, "bare QEMU", (one) => one);
  const added: Series = {
    ...creating.ours,
    name: "up that creates, ours less no-op",
    samples: creating.ours.samples.map((sample, round) => sample - creating.noop.samples[round]!),
    ...(creating.noop.failure !== undefined && { failure: creating.noop.failure }),
  };
  return {
    method: [
      `${ROUNDS} rounds, by turns in front. The ups are the whole command: the one that creates without, the other with its preview. The`,
      "launcher alone: launch, in this process. create and delete: the engine's calls to the running plugin, create until the VM answers,",
      "delete until nothing is left of it. Bare: the same QEMU by hand until it has answered a query.",
    ],
    series: [
      ...[creating.noop, creating.ours, added, launched],
      ...[unchanged.noop, unchanged.ours],
      ...[byHand, create],
      millis(calls, "delete", (one) => one.delete, { atMost: 60 }),
    ],
    ratios: [
      ratio("up without changes, ours / no-op", unchanged.ours, unchanged.noop, { atMost: 1.15 }),
      ratio("up that creates, ours less no-op / the launcher alone", added, launched),
      ratio("create / bare QEMU", create, byHand, { atMost: 1.05 }),
    ],
  };
}
