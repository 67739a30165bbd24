/** Taking the kernel out of an RVF: the writers' own reader (opens the store, hands out a buffer) against `extractKernel`. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import type { Benchmark, Measured, Series } from "../benchmark.js";
import { installedVersion, ownVersion } from "../machine.js";
import { sample, type Sample } from "../sample.js";
import { inRounds, seriesOf, type Outcome } from "../rounds.js";
import { ratio } from "../statistics.js";
import { fromRepository } from "../../tools/setup/repository.js";
import { makeImage } from "./image.js";
import { ensureStores, sizes, type Size } from "./stores.js";

const ROUNDS = 9;
const PEER = "@ruvector/rvf-node";

/** The size at which the rest is measured too: the kernel in the cache, memory, and times from process start. */
const LARGE = 1_000_000;

const SHA3 = "100,000 vectors, ours, cache empty, image hash SHA3-256";
const nameOf = (size: Size, whose: string): string => `${size.toLocaleString("en")} vectors, ${whose}`;
const PEERS = "peer: open, extractKernel, close";
const OURS = "ours, cache empty";
const CACHED = "ours, kernel cached";

/** What is taken from a store in one round; `cached` is the call after the first. */
interface Ours {
  empty: Sample;
  cached: Sample;
}

export const rvf: Benchmark = {
  title: `Kernel out of an RVF of ${sizes.map((size) => size.toLocaleString("en")).join("; ")} vectors of dimension 128`,
  parts: ["package"],
  charts: [
    {
      kind: "curves",
      name: "sizes",
      title: "Kernel out of an RVF, ms",
      x: "vectors of dimension 128",
      lines: [
        { label: PEER, points: sizes.map((x) => ({ x, series: nameOf(x, PEERS) })) },
        { label: OURS, points: sizes.map((x) => ({ x, series: nameOf(x, OURS) })) },
        { label: CACHED, points: sizes.map((x) => ({ x, series: nameOf(x, CACHED) })) },
      ],
    },
  ],
  run: async (say) => {
    const image = makeImage();
    const peerVersion = await installedVersion(PEER);
    const stores = await ensureStores(image, peerVersion, say);
    for (const path of [...Object.values(stores.plain), stores.sha3]) await readWhole(path);
    const sha256 = createHash("sha256").update(image).digest("hex");
    const peers = sizes.map((size) => [
      `peer, ${size}`,
      () => samplePeer(stores.plain[size], image.length, sha256),
    ]);
    const ours = sizes.map((size) => [`ours, ${size}`, () => sampleOurs(stores.plain[size], sha256)]);
    const outcomes = await inRounds<Sample | Ours, string>(
      ROUNDS,
      Object.fromEntries([...peers, ...ours, ["sha3", () => sampleOurs(stores.sha3, sha256)]]) as Record<
        string,
        () => Promise<Sample | Ours>
      >,
      say,
    );
    return {
      ...evaluate(outcomes as Outcomes),
      versions: { "pulumi-microvm": await ownVersion(), [PEER]: peerVersion },
    };
  },
};

type Outcomes = Record<`peer, ${Size}`, Outcome<Sample>> & Record<`ours, ${Size}` | "sha3", Outcome<Ours>>;

const samplePeer = async (store: string, imageBytes: number, sha256: string): Promise<Sample> =>
  refuseWrong(await sample("bench/rvf/peer.mjs", [store, String(imageBytes)]), sha256);

async function sampleOurs(store: string, sha256: string): Promise<Ours> {
  // On the disk where the repository is, because writing and syncing the image is a part of our time.
  const folder = fromRepository(".cache/bench/run");
  // An interrupted run has left its own.
  await rm(folder, { recursive: true, force: true });
  const take = async () => refuseWrong(await sample("bench/rvf/ours.mjs", [store, folder]), sha256);
  try {
    return { empty: await take(), cached: await take() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function refuseWrong(taken: Sample, sha256: string): Sample {
  if (taken.evidence === sha256) return taken;
  throw new Error("Another image was given than had been embedded.");
}

function evaluate(outcomes: Outcomes): Omit<Measured, "versions"> {
  const millis = <S>(outcome: Outcome<S>, name: string, pick: (taken: S) => number): Series =>
    seriesOf(outcome, { name, unit: "ms" }, pick);
  const growth = <S>(outcome: Outcome<S>, name: string, pick: (taken: S) => number): Series =>
    seriesOf(outcome, { name, unit: "MiB" }, pick);
  const peer = (size: Size): Series =>
    millis(outcomes[`peer, ${size}`], nameOf(size, PEERS), ({ millis }) => millis);
  const empty = (size: Size): Series =>
    millis(outcomes[`ours, ${size}`], nameOf(size, OURS), ({ empty }) => empty.millis);
  const cached = (size: Size): Series =>
    millis(outcomes[`ours, ${size}`], nameOf(size, CACHED), ({ cached }) => cached.millis);
  const [theirs, ours] = [outcomes[`peer, ${LARGE}`], outcomes[`ours, ${LARGE}`]];
  const little = { target: { atMost: 16 } };
  return {
    method: [
      `${ROUNDS} rounds, by turns in front, each sample in a process of its own; files in the page cache; the peer keeps the image in`,
      "memory, ours writes it to disk and syncs it. Imports are not in the times but in those from process start. Memory and process",
      "start: at 1,000,000 vectors.",
    ],
    series: [
      ...sizes.map(peer),
      ...sizes.map(empty),
      ...sizes.map(cached),
      millis(outcomes.sha3, SHA3, ({ empty }) => empty.millis),
      millis(theirs, "peer, from process start", ({ processMillis }) => processMillis),
      millis(ours, "ours, cache empty, from process start", ({ empty }) => empty.processMillis),
      millis(ours, "ours, kernel cached, from process start", ({ cached }) => cached.processMillis),
      growth(theirs, "peer, peak memory growth", ({ growthMiB }) => growthMiB),
      { ...growth(ours, "ours, cache empty, peak memory growth", ({ empty }) => empty.growthMiB), ...little },
      {
        ...growth(ours, "ours, kernel cached, peak memory growth", ({ cached }) => cached.growthMiB),
        ...little,
      },
    ],
    ratios: [
      ratio("peer / ours, cache empty, 1,000,000", peer(LARGE), empty(LARGE), { atLeast: 15 }),
      ratio("peer / ours, kernel cached, 1,000,000", peer(LARGE), cached(LARGE), { atLeast: 200 }),
      // "The same" within what two equal measurements differ by here.
      ratio("ours, cache empty: 1,000,000 / 100,000", empty(LARGE), empty(100_000), { atMost: 1.2 }),
    ],
  };
}

async function readWhole(path: string): Promise<void> {
  for await (const _ of createReadStream(path, { highWaterMark: 2 ** 20 }));
}
