/** Queries to a guest against the same server as a program of the host. */
import { join } from "node:path";
import { applianceFolder } from "../../src/appliance/cache.js";
import { buildInit } from "../../src/appliance/init.js";
import { query as ask } from "../../src/client/index.js";
import type { MicroVmHandle } from "../../src/launcher/index.js";
import { makeSampleRvf, sampleQuery } from "../../tools/sample-rvf.js";
import { ensureRust } from "../../tools/setup/rust.js";
import type { Question } from "../ask.js";
import type { Benchmark, Measured } from "../benchmark.js";
import { withLauncher, type Launcher } from "../launching.js";
import { ownVersion } from "../machine.js";
import { inRounds, seriesOf, type Outcome } from "../rounds.js";
import { ratio } from "../statistics.js";
import { expectedFirst, firstQuery, type FirstQuery } from "./first.js";
import { loadOn, type Load } from "./load.js";
import { serveNatively } from "./native.js";

const ROUNDS = 5;

const stores = [
  { count: 3000, dimension: 32 },
  { count: 50_000, dimension: 128 },
];
/** Of which only the first query is measured. */
const large = { count: 200_000, dimension: 128 };
const FIRST_ROUNDS = 3;

type Store = (typeof stores)[number];
type Side = "native" | "guest";

const nameOf = ({ count, dimension }: Store): string => `${count.toLocaleString("en")} x ${dimension}`;
const latencyOf = (store: Store, side: Side): string => `${nameOf(store)}: one query, ${side}`;
const throughputOf = (store: Store, side: Side): string => `${nameOf(store)}: answers to 8 clients, ${side}`;

const barsOf = (series: typeof latencyOf) =>
  stores.flatMap((store) =>
    (["native", "guest"] as const).map((side) => ({
      label: `${nameOf(store)}, ${side}`,
      series: [series(store, side)],
    })),
  );

export const query: Benchmark = {
  title: "Queries, exact scan: the emulated guest against the same server on the host",
  parts: ["package", "qemu", "appliance"],
  charts: [
    { kind: "bars", name: "latency", title: "One query, ms", bars: barsOf(latencyOf) },
    { kind: "bars", name: "throughput", title: "Answers a second to 8 clients", bars: barsOf(throughputOf) },
  ],
  run: async (say, env) => {
    const cargo = await ensureRust(say);
    const server = await buildInit({ cacheDir: await applianceFolder(), cargo, onProgress: say });
    return await withLauncher(env, async (launcher) => {
      const measured: StoreMeasured[] = [];
      for (const store of stores) {
        say(nameOf(store));
        const rvfPath = join(launcher.folder, `${store.count}.rvf`);
        await makeSampleRvf(rvfPath, { image: env["MICROVM_APPLIANCE"], ...store });
        await using native = await serveNatively(server, rvfPath);
        const questions = await questionsOn(native.port, store);
        await using guest = await launchGuest(launcher, rvfPath);
        const sides = {
          native: () => loadOn(native.port, questions),
          guest: () => loadOn(guest.apiPort, questions),
        };
        measured.push({ store, ...(await inRounds<Load, Side>(ROUNDS, sides, say)) });
      }
      say(nameOf(large));
      const rvfPath = join(launcher.folder, "large.rvf");
      await makeSampleRvf(rvfPath, { image: env["MICROVM_APPLIANCE"], ...large });
      const expected = expectedFirst(rvfPath, large.dimension);
      const take = () => firstQuery(launcher, rvfPath, expected);
      const { first } = await inRounds(FIRST_ROUNDS, { first: take }, say);
      return { ...evaluate(measured, first), versions: { "pulumi-microvm": await ownVersion() } };
    });
  },
};

/** With the host's answers, from which the guest's must not differ. */
async function questionsOn(port: number, { dimension }: Store): Promise<Question[]> {
  const vectors = Array.from({ length: 10 }, (_, seed) => sampleQuery(seed, dimension));
  const found = await Promise.all(vectors.map((vector) => ask(`http://127.0.0.1:${port}`, vector, 1)));
  return vectors.map((vector, i) => ({ vector, id: found[i]![0]!.id }));
}

const launchGuest = async ({ launch }: Launcher, rvfPath: string): Promise<MicroVmHandle> =>
  await launch({ rvfPath, apiPort: 0, enableKvm: false, memoryMb: 256 });

type StoreMeasured = { store: Store } & Record<Side, Outcome<Load>>;

function evaluate(measured: StoreMeasured[], first: Outcome<FirstQuery>): Omit<Measured, "versions"> {
  const each = measured.map(({ store, ...outcomes }) => {
    const latency = (side: Side) =>
      seriesOf(outcomes[side], { name: latencyOf(store, side), unit: "ms" }, (load) => load.latency);
    const throughput = (side: Side) =>
      seriesOf(outcomes[side], { name: throughputOf(store, side), unit: "/s" }, (load) => load.perSecond);
    const [slow, quick] = [latency("guest"), latency("native")];
    const [few, many] = [throughput("guest"), throughput("native")];
    return {
      series: [quick, slow, many, few],
      ratios: [
        ratio(`${nameOf(store)}: one query, guest / native`, slow, quick),
        ratio(`${nameOf(store)}: answers, native / guest`, many, few),
      ],
    };
  });
  return {
    method: [
      `${ROUNDS} rounds, by turns in front; each asks for a second on one connection, one query after the other, and for a second on`,
      "eight. The client, Node in this process, is in all times. The guest's answers are compared with the host's. The first query: of",
      `${FIRST_ROUNDS} guests one each, compared with what the format's own library finds; health is asked for every 50 ms meanwhile.`,
    ],
    series: [
      ...each.flatMap(({ series }) => series),
      seriesOf(
        first,
        { name: `${nameOf(large)}: the first query, guest`, unit: "ms" },
        ({ millis }) => millis,
      ),
      seriesOf(
        first,
        { name: `${nameOf(large)}: health meanwhile, the slowest`, unit: "ms" },
        ({ health }) => health,
      ),
    ],
    ratios: each.flatMap(({ ratios }) => ratios),
  };
}
