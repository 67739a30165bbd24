/** Has a command begun, waits for a moment of it, and then does to it what a kill-point says. */
import { setTimeout as sleep } from "node:timers/promises";
import { momentsOf, type Moments, type Now } from "./moments.js";
import { partiesOf, type Parties } from "./parties.js";
import type { Point } from "./points.js";
import { look } from "./sight.js";
import type { Stack } from "./stack.js";
import { victims } from "./victims.js";

export interface Interruption {
  /** Whether the moment came before the command ended. */
  reached: boolean;
  words: string;
  /** Those that had been found by then. */
  parties: Parties;
}

/** Returns when the command has ended; others that took part may be there yet. */
export async function interrupt(
  stack: Stack,
  { operation, victim, moment }: Point,
  lastMillis: Record<"up" | "destroy", number>,
): Promise<Interruption> {
  const before = look(stack.stateFile);
  const start = performance.now();
  const command = operation === "delete" ? "destroy" : "up";
  const cli = stack.start(command);
  let words = "";
  cli.all.on("data", (chunk: Buffer) => (words += chunk.toString()));
  let ended = false;
  void cli.then(() => (ended = true));

  const moments: Moments = momentsOf[operation];
  const isIt: (now: Now) => boolean =
    typeof moment === "string"
      ? moments[moment]!
      : () => performance.now() - start > moment.part * lastMillis[command];
  let parties: Parties = {};
  let reached = false;
  while (!ended && !reached) {
    // The plugin is the last to come, and looking for them takes long.
    if (parties.plugin === undefined) parties = partiesOf(cli.pid!);
    reached = isIt({ parties, sight: look(stack.stateFile, before.record?.vmId), before });
    if (!reached) await sleep(2);
  }
  if (reached) await victims[victim]({ cli, words: () => words, parties: () => parties });
  await cli;
  return { reached, words, parties };
}
