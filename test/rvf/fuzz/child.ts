/** The fuzzer's working process: takes one order from its parent, tells how it goes, and ends. */
import { campaign, type CampaignResult, type Progress } from "./campaign.js";

export interface FuzzOrder {
  folder: string;
  /** Where the input that is being read stands. */
  work: string;
  seed: number;
  runs: number;
  seconds: number;
}

export type FuzzMessage = { progress: Progress } | { result: CampaignResult } | { failure: string };

const BEAT_MILLIS = 5_000;

async function obey({ seconds, ...order }: FuzzOrder): Promise<FuzzMessage> {
  const started = performance.now();
  let told = started;
  const tell = (progress: Progress): void => {
    if (performance.now() - told < BEAT_MILLIS) return;
    told = performance.now();
    process.send?.({ progress } satisfies FuzzMessage);
  };
  const enough = (): boolean => performance.now() - started > seconds * 1000;
  try {
    return { result: await campaign({ ...order, tell, enough }) };
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

process.once("message", (order) => {
  void obey(order as FuzzOrder).then((message) => process.send?.(message, () => process.disconnect()));
});
