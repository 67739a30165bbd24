/** Taking the kernel out of an RVF: the writers' own reader (opens the store, hands out a buffer) against `extractKernel`. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Benchmark, Measured, Series } from "../benchmark.js";
import { installedVersion, ownVersion } from "../machine.js";
import { sample, type Sample } from "../sample.js";
import { ratio } from "../statistics.js";
import { fromRepository } from "../../tools/setup/repository.js";
import { makeImage } from "./image.js";
import { ensureStores, type Stores } from "./stores.js";

const ROUNDS = 9;
const PEER = "@ruvector/rvf-node";

/** Everything that is measured in one round. */
type Round = Record<"peer" | "cold" | "cached" | "coldTenth" | "coldTenthSha3", Sample>;

export const rvf: Benchmark = {
  title: "Kernel out of an RVF of 1,000,000 x 128 vectors (a tenth: 100,000 x 128)",
  parts: ["package"],
  charts: [
    {
      kind: "bars",
      name: "large",
      title: "Kernel out of an RVF of 1,000,000 x 128 vectors, ms",
      bars: [
        { label: "@ruvector/rvf-node", series: ["peer: open, extractKernel, close"] },
        { label: "ours, cache empty", series: ["ours, cache empty"] },
        { label: "ours, kernel cached", series: ["ours, kernel cached"] },
      ],
    },
  ],
  run: async (say) => {
    const image = makeImage();
    const peerVersion = await installedVersion(PEER);
    const stores = await ensureStores(image, peerVersion, say);
    for (const path of Object.values(stores)) await readWhole(path);
    const rounds: Round[] = [];
    // The first round is for the page cache, and is not kept.
    for (let round = 0; round <= ROUNDS; round++) {
      const measured = await measureRound(stores, image.length, round % 2 === 1);
      refuseWrong(measured, createHash("sha256").update(image).digest("hex"));
      if (round > 0) rounds.push(measured);
      say(`round ${round} of ${ROUNDS}${round === 0 ? " (discarded)" : ""}`);
    }
    return { ...evaluate(rounds), versions: { "pulumi-microvm": await ownVersion(), [PEER]: peerVersion } };
  },
};

/** Peer and ours one after the other, by turns in front: what the machine does meanwhile meets both. */
async function measureRound(stores: Stores, imageBytes: number, peerFirst: boolean): Promise<Round> {
  // On the disk where the repository is, because writing and syncing the image is a part of our time.
  const folder = fromRepository(".cache/bench/run");
  // An interrupted run has left its own.
  await rm(folder, { recursive: true, force: true });
  const peer = () => sample("bench/rvf/peer.mjs", [stores.large, String(imageBytes)]);
  const ours = (store: keyof Stores) => sample("bench/rvf/ours.mjs", [stores[store], join(folder, store)]);
  try {
    const before = peerFirst && (await peer());
    const cold = await ours("large");
    const cached = await ours("large");
    const after = before || (await peer());
    const coldTenth = await ours("tenth");
    return { peer: after, cold, cached, coldTenth, coldTenthSha3: await ours("tenthSha3") };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function refuseWrong(round: Round, sha256: string): void {
  for (const [name, { evidence }] of Object.entries(round))
    if (evidence !== sha256) throw new Error(`"${name}" gave another image than was embedded.`);
}

function evaluate(rounds: Round[]): Omit<Measured, "versions"> {
  const series = (name: string, unit: Series["unit"], pick: (round: Round) => number): Series => ({
    name,
    unit,
    samples: rounds.map(pick),
  });
  const peer = series("peer: open, extractKernel, close", "ms", (round) => round.peer.millis);
  const cold = series("ours, cache empty", "ms", (round) => round.cold.millis);
  const cached = series("ours, kernel cached", "ms", (round) => round.cached.millis);
  const tenth = series("ours, cache empty, a tenth", "ms", (round) => round.coldTenth.millis);
  const sha3 = series(
    "ours, cache empty, a tenth, image hash SHA3-256",
    "ms",
    (round) => round.coldTenthSha3.millis,
  );
  return {
    method: [
      `${ROUNDS} rounds, each sample in a process of its own; files in the page cache; the peer keeps the image in`,
      "memory, ours writes it to disk and syncs it. Imports are not in the times but in those from process start.",
    ],
    series: [
      peer,
      cold,
      cached,
      tenth,
      sha3,
      series("peer, from process start", "ms", (round) => round.peer.processMillis),
      series("ours, cache empty, from process start", "ms", (round) => round.cold.processMillis),
      series("ours, kernel cached, from process start", "ms", (round) => round.cached.processMillis),
      series("peer, peak memory growth", "MiB", (round) => round.peer.growthMiB),
      {
        ...series("ours, cache empty, peak memory growth", "MiB", (round) => round.cold.growthMiB),
        target: { atMost: 16 },
      },
      {
        ...series("ours, kernel cached, peak memory growth", "MiB", (round) => round.cached.growthMiB),
        target: { atMost: 16 },
      },
    ],
    ratios: [
      ratio("peer / ours, cache empty", peer, cold, { atLeast: 15 }),
      ratio("peer / ours, kernel cached", peer, cached, { atLeast: 200 }),
      // "The same" within what two equal measurements differ by here.
      ratio("ours: large file / a tenth", cold, tenth, { atMost: 1.2 }),
    ],
  };
}

async function readWhole(path: string): Promise<void> {
  for await (const _ of createReadStream(path, { highWaterMark: 2 ** 20 }));
}
