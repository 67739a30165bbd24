/** Hands faults out to several worlds at once, each in a process of its own. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Report } from "./run.js";
import type { ChaosMessage, ChaosOrder } from "./worker.js";

export interface ChaosOptions {
  worlds: number;
  /** For the workers' environment. */
  env?: NodeJS.ProcessEnv;
  tell?: (report: Report) => void;
  /** Nothing further is begun. */
  signal?: AbortSignal;
}

/** Inflicts them all. Throws when a worker itself fails; then, too, every world is cleared away. */
export async function runFaults(orders: ChaosOrder[], options: ChaosOptions): Promise<Report[]> {
  const queue = [...orders];
  const reports: Report[] = [];
  const workers = Array.from({ length: options.worlds }, async () => {
    for await (const report of work(queue, options)) {
      reports.push(report);
      options.tell?.(report);
    }
  });
  for (const end of await Promise.allSettled(workers)) if (end.status === "rejected") throw end.reason;
  return reports;
}

async function* work(queue: ChaosOrder[], { env, signal }: ChaosOptions): AsyncGenerator<Report> {
  const child = fork(fileURLToPath(new URL("worker.ts", import.meta.url)), {
    execArgv: ["--import", "tsx"],
    env: { ...process.env, ...env, NODE_OPTIONS: "" },
  });
  const ended = once(child, "exit");
  try {
    for (let order; !signal?.aborted && (order = queue.shift());) {
      child.send(order);
      const said = once(child, "message") as Promise<[ChaosMessage]>;
      const [message] = await Promise.race([said, ended.then(() => [{ failure: "a worker died" }] as const)]);
      if ("failure" in message) throw new Error(message.failure);
      yield message.report;
    }
  } finally {
    if (child.connected) child.disconnect();
    await ended;
  }
}
