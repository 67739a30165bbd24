/** Warm start: from a saved state to the first answer, over the first instruction of a bare QEMU, than which no start is quicker. */
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import type { Benchmark, Measured } from "../benchmark.js";
import { firstInstruction } from "../first-instruction.js";
import { withLauncher, type Launcher } from "../launching.js";
import { ownVersion } from "../machine.js";
import { inRounds, seriesOf, type Outcome } from "../rounds.js";
import { ratio } from "../statistics.js";

const ROUNDS = 15;
const vector = sampleQuery(1);

interface Restored {
  /** From QEMU's spawn until the guest is ready, and the query after it. */
  restore: number;
  /** From the call of `launch` to the answer. */
  launch: number;
}

export const warm: Benchmark = {
  title: "Warm start to the first right answer, emulated, 128 MiB, 3000 x 32 vectors",
  parts: ["package", "qemu", "appliance"],
  charts: [
    {
      kind: "bars",
      name: "start",
      title: "Warm start to the first right answer, ms",
      bars: [
        { label: "bare QEMU's first instruction", series: ["bare QEMU's first instruction"] },
        { label: "restored, answered", series: ["ours: QEMU's spawn to the answer"] },
        { label: "launched, answered", series: ["ours: launch to the answer"] },
      ],
    },
  ],
  run: async (say, env) =>
    await withLauncher(env, async ({ launch, rvfPath, folder }) => {
      const id = neighboursOnHost(rvfPath, vector, 1)[0]!.id;
      const outcomes = await inRounds<Restored | number, "first" | "warm">(
        ROUNDS,
        // The first round saves the state.
        { first: await firstInstruction(folder, rvfPath), warm: () => restored(launch, rvfPath, id) },
        say,
      );
      return {
        ...evaluate(outcomes as { first: Outcome<number>; warm: Outcome<Restored> }),
        versions: { "pulumi-microvm": await ownVersion() },
      };
    }),
};

async function restored(launch: Launcher["launch"], rvfPath: string, id: number): Promise<Restored> {
  const start = performance.now();
  let cold: string | undefined;
  const onProgress = (line: string): void => void (line.includes("boots cold") && (cold = line));
  await using vm = await launch({ rvfPath, apiPort: 0, enableKvm: false, warmStart: true }, { onProgress });
  if (cold !== undefined) throw new Error(cold);
  const launched = performance.now();
  const [nearest] = await vm.query(vector, 1);
  const end = performance.now();
  if (nearest?.id !== id) throw new Error(`the guest answered ${nearest?.id} where ${id} is the nearest`);
  const { bootMillis } = await vm.status();
  return { restore: bootMillis + (end - launched), launch: end - start };
}

function evaluate({
  first,
  warm,
}: {
  first: Outcome<number>;
  warm: Outcome<Restored>;
}): Omit<Measured, "versions"> {
  const floor = seriesOf(first, { name: "bare QEMU's first instruction", unit: "ms" }, (millis) => millis);
  const restore = seriesOf(
    warm,
    { name: "ours: QEMU's spawn to the answer", unit: "ms", target: { atMost: 120 } },
    (one) => one.restore,
  );
  const launch = seriesOf(warm, { name: "ours: launch to the answer", unit: "ms" }, (one) => one.launch);
  return {
    method: [
      `${ROUNDS} rounds, by turns in front; the saved state is made before. Ours: the launcher's own time from QEMU's spawn until the guest`,
      "has an identity of its own and answers, and the time of a query after that; the launch is the whole call and the query.",
    ],
    series: [floor, restore, launch],
    ratios: [ratio("ours / bare QEMU's first instruction", restore, floor, { atMost: 2.5 })],
  };
}
