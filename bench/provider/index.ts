/** `pulumi up` where nothing changed: a program with a MicroVm against the same with a dynamic resource that does nothing. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openProject, type PulumiProject } from "../../tools/pulumi-project.js";
import { makeSampleRvf } from "../../tools/sample-rvf.js";
import { fromRepository } from "../../tools/setup/repository.js";
import type { Benchmark, Series } from "../benchmark.js";
import { installedVersion, ownVersion } from "../machine.js";
import { ratio } from "../statistics.js";

const ROUNDS = 9;

export const provider: Benchmark = {
  title: "pulumi up without changes, with its preview",
  parts: ["package", "qemu", "appliance", "pulumi"],
  charts: [
    {
      kind: "bars",
      name: "unchanged",
      title: "pulumi up without changes, ms",
      bars: [
        { label: "a resource that does nothing", series: ["no-op"] },
        { label: "MicroVm", series: ["ours"] },
      ],
    },
  ],
  run: async (say, env) => {
    const folder = await mkdtemp(join(tmpdir(), "microvm-bench-"));
    const rvfPath = join(folder, "sample.rvf");
    await makeSampleRvf(rvfPath, { image: env["MICROVM_APPLIANCE"] });
    const open = async (stack: string, directory: string): Promise<PulumiProject> => {
      const project = await openProject({
        directory: fromRepository(directory),
        workFolder: folder,
        stack,
        env: { ...process.env, ...env, MICROVM_CACHE_DIR: join(folder, "cache") },
      });
      await project.pulumi(["config", "set", "args", JSON.stringify({ rvfPath, apiPort: 0 })]);
      return project;
    };
    const [ours, noop] = [
      await open("ours", "test/fixtures/projects/args"),
      await open("noop", "test/fixtures/projects/noop"),
    ];
    try {
      for (const project of [ours, noop]) await project.pulumi(["up", "--yes", "--skip-preview"]);
      const samples: { ours: number; noop: number }[] = [];
      // The first round fills the caches, and is not kept.
      for (let round = 0; round <= ROUNDS; round++) {
        const before = round % 2 === 1 ? await unchangedUp(noop) : undefined;
        const own = await unchangedUp(ours);
        const sample = { ours: own, noop: before ?? (await unchangedUp(noop)) };
        if (round > 0) samples.push(sample);
        const seconds = `${(sample.ours / 1000).toFixed(2)} s, no-op ${(sample.noop / 1000).toFixed(2)} s`;
        say(`round ${round} of ${ROUNDS}: ${seconds}${round === 0 ? " (discarded)" : ""}`);
      }
      const series = (name: string, key: "ours" | "noop"): Series => ({
        name,
        unit: "ms",
        samples: samples.map((sample) => sample[key]),
      });
      const [us, peer] = [series("ours", "ours"), series("no-op", "noop")];
      return {
        method: [
          `${ROUNDS} rounds, by turns in front. The whole command: preview and update, each with a plugin process of its own. Ours`,
          "looks in both at the files, the record and the live VM.",
        ],
        versions: {
          "pulumi-microvm": await ownVersion(),
          "@pulumi/pulumi": await installedVersion("@pulumi/pulumi"),
        },
        series: [peer, us],
        ratios: [ratio("ours / no-op", us, peer, { atMost: 1.15 })],
      };
    } finally {
      for (const project of [ours, noop]) await project.pulumi(["destroy", "--yes", "--skip-preview"]);
      await rm(folder, { recursive: true, force: true });
    }
  },
};

async function unchangedUp({ pulumi }: PulumiProject): Promise<number> {
  const start = performance.now();
  await pulumi(["up", "--yes", "--expect-no-changes"]);
  return performance.now() - start;
}
