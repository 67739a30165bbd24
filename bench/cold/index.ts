/** Cold start, from QEMU's spawn to the first right answer: the appliance, the least that could answer, and what else could be booted. */
import { join } from "node:path";
import { buildAppliance } from "../../src/appliance/index.js";
import { cacheDir } from "../../src/paths.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import type { Report } from "../../tools/setup/command.js";
import { ensureRust } from "../../tools/setup/rust.js";
import type { Question } from "../ask.js";
import { READY, startBare, type Bare, type BareOptions } from "../bare.js";
import type { Benchmark, Measured, Series } from "../benchmark.js";
import { firstInstruction } from "../first-instruction.js";
import { withLauncher } from "../launching.js";
import { ownVersion } from "../machine.js";
import { inRounds, seriesOf, type Outcome } from "../rounds.js";
import { ratio } from "../statistics.js";
import { makeFloor } from "./floor.js";
import { initramfsForQ35, onQ35 } from "./q35.js";

const ROUNDS = 9;

/** In this order. The end of each, in milliseconds from QEMU's spawn on. */
const phases = {
  "QEMU's own start": (qemu: Bare) => qemu.until("stderr", "(running)"),
  "to the kernel's first byte": (qemu: Bare) => qemu.until("console", ""),
  "to /init's first line": (qemu: Bare) => qemu.until("console", "microvm: started"),
  "to the ready line": (qemu: Bare) => qemu.until("ready", READY),
  "to the first answer": (qemu: Bare, question: Question) => qemu.untilAnswer(question),
};
type Phase = keyof typeof phases;
const phaseNames = Object.keys(phases) as Phase[];
type Ends = Record<Phase, number>;

const sides = {
  floor: "C floor",
  micro: "ours",
  packaged: "packaged kernel",
  q35: "packaged kernel on q35",
} as const;
type Side = keyof typeof sides;

const phaseSeries = (side: Side, phase: Phase): string => `${sides[side]}: ${phase}`;

export const cold: Benchmark = {
  title: "Cold start, QEMU's spawn to the first right answer, emulated, 128 MiB, 3000 x 32 vectors",
  parts: ["package", "qemu", "appliance"],
  charts: [
    {
      kind: "bars",
      name: "phases",
      title: "Cold start to the first right answer, ms",
      pieces: phaseNames,
      bars: (Object.keys(sides) as Side[]).map((side) => ({
        label: sides[side],
        series: phaseNames.map((phase) => phaseSeries(side, phase)),
      })),
    },
  ],
  run: async (say, env) => {
    const cache = cacheDir();
    return await withLauncher(env, async ({ rvfPath, folder }) => {
      const vector = sampleQuery(1);
      const question = { vector, id: neighboursOnHost(rvfPath, vector, 1)[0]!.id };
      const floor = makeFloor(folder, question, say);
      const packagedRvf = makePackagedRvf(folder, cache, say);
      const q35 = packagedRvf.then((path) => initramfsForQ35(folder, path, cache));
      // What cannot be had fails its side alone, in the first round.
      await Promise.allSettled([floor, q35]);
      const boot: Record<Side, () => Promise<BareOptions>> = {
        floor: async () => ({ rvfPath, change: withInitramfs(await floor) }),
        micro: () => Promise.resolve({ rvfPath }),
        packaged: async () => ({ rvfPath: await packagedRvf }),
        q35: async () => {
          const change = withInitramfs(await q35);
          return { rvfPath: await packagedRvf, change: (argv) => onQ35(change(argv)) };
        },
      };
      const take = (side: Side) => async () => await coldStart(await boot[side](), question);
      const first = await firstInstruction(folder, rvfPath);
      const outcomes = await inRounds<Ends | number, Side | "first">(
        ROUNDS,
        {
          ...{ first, floor: take("floor"), micro: take("micro") },
          ...{ packaged: take("packaged"), q35: take("q35") },
        },
        say,
      );
      return {
        ...evaluate(outcomes as Record<Side, Outcome<Ends>> & { first: Outcome<number> }),
        versions: { "pulumi-microvm": await ownVersion() },
      };
    });
  },
};

async function makePackagedRvf(folder: string, cacheDir: string, say: Report): Promise<string> {
  const cargo = await ensureRust(say);
  const { path: image } = await buildAppliance({ kernel: "debian", cacheDir, cargo, onProgress: say });
  const path = join(folder, "packaged.rvf");
  await makeSampleRvf(path, { image });
  return path;
}

const withInitramfs =
  (path: string) =>
  (argv: string[]): string[] =>
    argv.with(argv.indexOf("-initrd") + 1, path);

async function coldStart(options: BareOptions, question: Question): Promise<Ends> {
  await using qemu = await startBare(options);
  const ends: Partial<Ends> = {};
  for (const phase of phaseNames) ends[phase] = await phases[phase](qemu, question);
  return ends as Ends;
}

function evaluate(
  outcomes: Record<Side, Outcome<Ends>> & { first: Outcome<number> },
): Omit<Measured, "versions"> {
  const total = (side: Side): Series =>
    seriesOf(outcomes[side], { name: sides[side], unit: "ms" }, (ends) => ends["to the first answer"]);
  const first = seriesOf(
    outcomes.first,
    { name: "bare QEMU's first instruction", unit: "ms" },
    (millis) => millis,
  );
  const [floor, micro, packaged, q35] = [total("floor"), total("micro"), total("packaged"), total("q35")];
  const parts = (Object.keys(sides) as Side[]).flatMap((side) =>
    phaseNames.map((phase, index) =>
      seriesOf(outcomes[side], { name: phaseSeries(side, phase), unit: "ms" }, (ends) =>
        index === 0 ? ends[phase] : ends[phase] - ends[phaseNames[index - 1]!],
      ),
    ),
  );
  return {
    method: [
      `${ROUNDS} rounds, by turns in front. Each is a bare QEMU with the launcher's own arguments, looked at every millisecond. The`,
      "C floor: the same kernel with an /init of a few instructions that has one reply. q35: the devices as PCI ones. The first",
      "instruction is that of a firmware which has no other.",
    ],
    series: [first, floor, micro, packaged, q35, ...parts],
    ratios: [
      ratio("ours / C floor", micro, floor, { atMost: 1.25 }),
      ratio("packaged kernel / ours", packaged, micro),
      ratio("packaged kernel, on q35 / on microvm", q35, packaged),
      ratio("ours / first instruction", micro, first),
    ],
  };
}
