/** From the launch to the first answered query, and down again: the launcher against a bare QEMU. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import type { Benchmark, Measured, Series } from "../benchmark.js";
import { withFleet, withLauncher } from "../launching.js";
import { ownVersion } from "../machine.js";
import { ratio } from "../statistics.js";
import type { Question } from "../ask.js";
import { READY, startBare, type Bare } from "../bare.js";
import { fromRepository } from "../../tools/setup/repository.js";

const ROUNDS = 15;
const AT_ONCE = 30;
const vector = sampleQuery(1);

/** What ours.mjs tells, in milliseconds. */
interface Ours {
  ours: number;
  /** From the guest's ready line to the launch's return, and to the first answered query. */
  launched: number;
  answered: number;
  cpu: number;
  shutdown: number;
}

interface Round extends Ours {
  bare: number;
  /** From the ready line to the first answer, a query's in one boot, health in another. */
  bareAnswered: number;
  bareHealthy: number;
}

export const launcher: Benchmark = {
  title: "A launch to the first answered query, emulated, 128 MiB, 3000 x 32 vectors",
  parts: ["package", "qemu", "appliance"],
  charts: [
    {
      kind: "bars",
      name: "launch",
      title: "Launch to the first answered query, and shut-down, ms",
      bars: [
        { label: "bare QEMU", series: ["bare QEMU"] },
        { label: "launch", series: ["ours"] },
        { label: "graceful shut-down", series: ["ours: graceful shut-down"] },
      ],
    },
  ],
  run: async (say, env) =>
    await withLauncher(env, async ({ launch, rvfPath }) => {
      const question = { vector, id: neighboursOnHost(rvfPath, vector, 1)[0]!.id };
      const rounds: Round[] = [];
      await using ours = startLauncher();
      // The first round fills the caches, and is not kept.
      for (let round = 0; round <= ROUNDS; round++) {
        const measured = await measureRound(ours, { rvfPath, question, bareFirst: round % 2 === 1 });
        if (round > 0) rounds.push(measured);
        say(`round ${round} of ${ROUNDS}${round === 0 ? " (discarded)" : ""}`);
      }
      const one = () => launch({ rvfPath, apiPort: 0, enableKvm: false, readyTimeoutSeconds: 300 });
      const fleet = await withFleet(AT_ONCE, one, ({ millis }) => millis);
      say(`${AT_ONCE} launches at once: all answered`);
      return { ...evaluate(rounds, fleet), versions: { "pulumi-microvm": await ownVersion() } };
    }),
};

/** The bare ones and ours one after the other, by turns in front. */
async function measureRound(
  launcher: LauncherProcess,
  { rvfPath, question, bareFirst }: { rvfPath: string; question: Question; bareFirst: boolean },
): Promise<Round> {
  const boot = async (answer: (qemu: Bare) => Promise<number>) => {
    await using qemu = await startBare({ rvfPath });
    const ready = await qemu.until("ready", READY);
    const millis = await answer(qemu);
    return { millis, afterReady: millis - ready };
  };
  const both = async () => {
    const asked = await boot((qemu) => qemu.untilAnswer(question));
    const healthy = await boot((qemu) => qemu.untilHealthy());
    return { bare: asked.millis, bareAnswered: asked.afterReady, bareHealthy: healthy.afterReady };
  };
  const before = bareFirst ? await both() : undefined;
  const ours = await launcher.measure(rvfPath);
  return { ...ours, ...(before ?? (await both())) };
}

interface LauncherProcess extends AsyncDisposable {
  measure(rvfPath: string): Promise<Ours>;
}

/** A process that launches one after the other. */
function startLauncher(): LauncherProcess {
  const child = fork(fromRepository("bench/launcher/ours.mjs"), { execArgv: [] });
  const ended = once(child, "exit");
  return {
    async measure(rvfPath) {
      child.send({ rvfPath, vector });
      const died = ended.then(([code, signal]) => [
        { failure: `the launcher's process ended (${signal ?? code})` },
      ]);
      const [{ measured, failure }] = (await Promise.race([once(child, "message"), died])) as [
        { measured?: Ours; failure?: string },
      ];
      if (measured === undefined) throw new Error(failure);
      return measured;
    },
    async [Symbol.asyncDispose]() {
      // It is not where the process has died, of which `measure` tells.
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

function evaluate(rounds: Round[], fleet: number): Omit<Measured, "versions"> {
  const series = (name: string, pick: (round: Round) => number, atMost?: number): Series => ({
    name,
    unit: "ms",
    samples: rounds.map(pick),
    ...(atMost !== undefined && { target: { atMost } }),
  });
  const bare = series("bare QEMU", ({ bare }) => bare);
  const ours = series("ours", ({ ours }) => ours);
  return {
    method: [
      `${ROUNDS} rounds, bare and ours by turns in front. Bare: the same arguments, a query after the ready line. The launcher's`,
      "processor time is that of its process (plain node) during the launch, without QEMU's. What it adds to the guest's own readiness: from the ready",
      "line (ours by its file's time) until the launch returned, less until a bare one that was asked at once, in a boot of its own, said that it is well.",
    ],
    series: [
      bare,
      ours,
      series("ours: the launcher's processor time", ({ cpu }) => cpu, 60),
      series("bare: from the ready line to health", ({ bareHealthy }) => bareHealthy),
      series("ours: from the ready line to the launch's return", ({ launched }) => launched),
      series("ours: added to that", ({ launched, bareHealthy }) => launched - bareHealthy, 20),
      series("bare: from the ready line to a query's answer", ({ bareAnswered }) => bareAnswered),
      series("ours: from the ready line to a query's answer", ({ answered }) => answered),
      series("ours: graceful shut-down", ({ shutdown }) => shutdown, 400),
      { name: `ours: ${AT_ONCE} at once, all answered`, unit: "ms", samples: [fleet] },
    ],
    ratios: [ratio("ours / bare", ours, bare, { atMost: 1.05 })],
  };
}
