/** One of the processes of `npm run chaos`: inflicts its share of the faults on a world of its own, and tells of each. */
import { anyFault, faults, inflict, type Report } from "./run.js";
import { openWorld } from "./world.js";

export interface ChaosOrder {
  seed: number;
  /** How many faults. */
  count: number;
  /** Only those whose name has this in it. */
  only?: string | undefined;
}

export type ChaosMessage = { report: Report } | { failure: string };

const tell = (message: ChaosMessage): void => void process.send?.(message);

let interrupted = false;

async function obey({ seed, count, only }: ChaosOrder): Promise<void> {
  const world = await openWorld(seed);
  const chosen = only === undefined ? undefined : faults.filter(({ name }) => name.includes(only));
  try {
    for (let i = 0; i < count && !interrupted; i++) {
      const fault = chosen ? world.random.pick(chosen) : anyFault(world);
      tell({ report: await inflict(world, fault) });
    }
  } finally {
    await world.close();
  }
}

// A terminal tells them all at once. What was begun is ended, and then cleared away.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => (interrupted = true));
process.on("disconnect", () => (interrupted = true));
process.once("message", (order) => {
  void obey(order as ChaosOrder)
    .catch((error: unknown) => tell({ failure: String((error as Error).stack ?? error) }))
    .finally(() => process.disconnect());
});
