/** A worker's side: a process with a world of its own does one order after the other, as it is told, until nobody tells it any more. */

export type WorkerMessage<Report> = { report: Report } | { failure: string };

export async function serve<Order, Report, World extends { close(): Promise<void> }>(
  open: () => Promise<World>,
  obey: (world: World, order: Order) => Promise<Report>,
): Promise<void> {
  // A terminal tells all its processes. What was begun is ended by the parent's hanging up, and then cleared away.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
  // What nobody listens to any more goes where a person sees it.
  const tell = (message: WorkerMessage<Report>): void => {
    if (process.connected) process.send!(message);
    else console.error(message);
  };
  const failed = (error: unknown): void => tell({ failure: String((error as Error).stack ?? error) });

  const world = await open();
  let work = Promise.resolve();
  const then = (next: () => Promise<void>): void => void (work = work.then(next).catch(failed));
  process.on("message", (order: Order) => then(async () => tell({ report: await obey(world, order) })));
  process.once("disconnect", () => then(() => world.close()));
}
