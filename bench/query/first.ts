/** The first query to a large store without an index: how long it takes, and how soon health is answered meanwhile. */
import { setTimeout as sleep } from "node:timers/promises";
import { query, probeHealth } from "../../src/client/index.js";
import { neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import type { Launcher } from "../launching.js";

const K = 10;

/** Between two looks at health. */
const PAUSE_MS = 50;

export interface FirstQuery {
  /** Milliseconds. */
  millis: number;
  /** The longest that health took to be answered during it, asked again and again, in milliseconds. */
  health: number;
}

/** What the host's own library finds, to which the guest's answer is compared. */
export function expectedFirst(rvfPath: string, dimension: number) {
  const vector = sampleQuery(1, dimension);
  return { vector, ids: neighboursOnHost(rvfPath, vector, K).map(({ id }) => id) };
}

/** Of a guest that is launched for it. Throws where an answer is wrong or missing. */
export async function firstQuery(
  { launch }: Launcher,
  rvfPath: string,
  { vector, ids }: ReturnType<typeof expectedFirst>,
): Promise<FirstQuery> {
  await using vm = await launch({ rvfPath, apiPort: 0, enableKvm: false, memoryMb: 256 });
  const url = `http://127.0.0.1:${vm.apiPort}`;
  const start = performance.now();
  let millis: number | undefined;
  const answer = query(url, vector, K).finally(() => (millis = performance.now() - start));
  let health = 0;
  for (; millis === undefined; await sleep(PAUSE_MS)) {
    const asked = performance.now();
    const { answers } = await probeHealth(url, { timeoutMs: 30_000 });
    if (!answers) throw new Error("the guest's health was not answered during a query");
    health = Math.max(health, performance.now() - asked);
  }
  const found = (await answer).map(({ id }) => id);
  if (String(found) !== String(ids))
    throw new Error(`${found.join()} was answered where ${ids.join()} are the nearest`);
  return { millis, health };
}
