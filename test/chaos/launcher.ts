/** A launching process that is really one, so that it can be killed: the launcher, told over a channel what to do. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Owner, ShutdownReport, VmSpecInput, VmStatus } from "../../src/launcher/index.js";

/** One call of the launcher, as a new process makes it. */
export interface Order {
  does: "create" | "update" | "destroy" | "shutdown";
  vmId?: string;
  spec?: VmSpecInput;
  name?: string;
  owner?: Owner;
  /** How far its clock is off, in milliseconds, from the moment on at which it has worked for so long. */
  clock?: { offByMs: number; afterMs: number };
}

export type Word =
  | { progress: string }
  | { done: VmStatus | ShutdownReport }
  | { failed: { code: string | undefined; message: string } };

export type Outcome = Exclude<Word, { progress: string }> | { died: string };

export interface Launching {
  pid: number;
  signal(name: NodeJS.Signals): void;
  /** Ends when it begins its work: its modules are loaded by then. */
  begun: Promise<void>;
  /** What it said so far. */
  progress: string[];
  outcome: Promise<Outcome>;
}

export interface LaunchingOptions {
  /** `ulimit` options for the process and all that it starts, such as `-n 30`. */
  limits?: string;
}

/** Starts one. It inherits the environment, and with that the world in which it works. */
export function startLauncher(order: Order, { limits }: LaunchingOptions = {}): Launching {
  const child = fork(fileURLToPath(new URL("child.ts", import.meta.url)), [JSON.stringify(order)], {
    execArgv: ["--import", "tsx"],
    ...(limits !== undefined && { execPath: "/bin/sh", execArgv: limited(limits) }),
    env: { ...process.env, NODE_OPTIONS: "" },
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  const progress: string[] = [];
  const stderr: string[] = [];
  createInterface({ input: child.stderr! }).on("line", (line) => stderr.push(line));
  let last: Outcome | undefined;
  let begin = (): void => {};
  const begun = new Promise<void>((done) => (begin = done));
  child.on("message", (word: Word | "begun") => {
    if (word === "begun") begin();
    else if ("progress" in word) progress.push(word.progress);
    else last = word;
  });
  const outcome = once(child, "close").then(([code, signal]): Outcome => {
    begin();
    return last ?? { died: [String(signal ?? `exit status ${code}`), ...stderr].join("\n") };
  });
  return { pid: child.pid!, signal: (name) => void child.kill(name), begun, progress, outcome };
}

/** For /bin/sh, before the script's path and its order: the limits, then Node in the shell's place. */
const limited = (limits: string): string[] => [
  "-c",
  `ulimit ${limits}; exec "$0" --import tsx "$@"`,
  process.execPath,
];

/** Lets it work for a time that chance says, then ends it as nothing can prevent. */
export async function killAfter(launching: Launching, millis: number): Promise<Outcome> {
  await launching.begun;
  await Promise.race([sleep(millis), launching.outcome]);
  launching.signal("SIGKILL");
  return await launching.outcome;
}
