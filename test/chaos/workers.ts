/** Hands orders out to several worlds at once, each in a process of its own. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { WorkerMessage } from "./serve.js";

export interface WorkersOptions<Report> {
  worlds: number;
  /** For the workers' environment. */
  env?: NodeJS.ProcessEnv;
  tell?: (report: Report) => void;
  /** Nothing further is begun. */
  signal?: AbortSignal;
}

/**
 * Has them all done by workers of that module, those of a batch by one of them in their order. Throws when a worker itself fails; then,
 * too, every world is cleared away.
 */
export async function handOut<Order extends object, Report>(
  worker: URL,
  batches: readonly (readonly Order[])[],
  options: WorkersOptions<Report>,
): Promise<Report[]> {
  const queue = [...batches];
  const reports: Report[] = [];
  const workers = Array.from({ length: options.worlds }, async () => {
    for await (const report of work(worker, queue, options)) {
      reports.push(report);
      options.tell?.(report);
    }
  });
  for (const end of await Promise.allSettled(workers)) if (end.status === "rejected") throw end.reason;
  return reports;
}

async function* work<Order extends object, Report>(
  worker: URL,
  queue: (readonly Order[])[],
  { env, signal }: WorkersOptions<Report>,
): AsyncGenerator<Report> {
  const child = fork(fileURLToPath(worker), {
    execArgv: ["--import", "tsx"],
    env: { ...process.env, ...env, NODE_OPTIONS: "" },
  });
  const ended = once(child, "exit");
  try {
    for (let batch: Order[] = []; !signal?.aborted;) {
      if (batch.length === 0) batch = [...(queue.shift() ?? [])];
      const order = batch.shift();
      if (order === undefined) break;
      child.send(order);
      const said = once(child, "message") as Promise<[WorkerMessage<Report>]>;
      const [message] = await Promise.race([said, ended.then(() => [{ failure: "a worker died" }] as const)]);
      if ("failure" in message) throw new Error(message.failure);
      yield message.report;
    }
  } finally {
    if (child.connected) child.disconnect();
    await ended;
  }
}
