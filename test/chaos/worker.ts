/** A process with a world of its own: inflicts one fault after the other, as it is told, until nobody tells it any more. */
import { faults, inflict, type Report } from "./run.js";
import { openWorld } from "./world.js";

export interface ChaosOrder {
  fault: string;
  seed: number;
}

export type ChaosMessage = { report: Report } | { failure: string };

/** What nobody listens to any more goes where a person sees it. */
const tell = (message: ChaosMessage): void => {
  if (process.connected) process.send!(message);
  else console.error(message);
};
const failed = (error: unknown): void => tell({ failure: String((error as Error).stack ?? error) });

// A terminal tells all its processes. What was begun is ended by the parent's hanging up, and then cleared away.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});

const world = await openWorld();
let work = Promise.resolve();
const then = (next: () => Promise<void>): void => void (work = work.then(next).catch(failed));
process.on("message", ({ fault, seed }: ChaosOrder) =>
  then(async () => {
    const row = faults.find(({ name }) => name === fault)!;
    tell({ report: await inflict(world, row, seed) });
  }),
);
process.once("disconnect", () => then(() => world.close()));
