/** What is done to a command under way, and to whom. */
import type { Running } from "../../tools/pulumi-project.js";
import type { Parties } from "./parties.js";

export interface Command {
  cli: Running;
  /** What the CLI has said so far. */
  words: () => string;
  parties: () => Parties;
}

const interrupt = (pid: number | undefined, signal: NodeJS.Signals): void => {
  try {
    if (pid !== undefined) process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
};

const killed =
  (...names: (keyof Parties | "cli")[]) =>
  ({ cli, parties }: Command): void => {
    const pids = { ...parties(), cli: cli.pid };
    for (const name of names) interrupt(pids[name], "SIGKILL");
  };

/** The second comes as soon as the CLI has asked for it. */
async function interruptTwice({ cli, words }: Command): Promise<void> {
  interrupt(cli.pid, "SIGINT");
  let ended = false;
  void cli.then(() => (ended = true));
  while (!ended && !words().includes("press ^C again")) await new Promise((done) => setTimeout(done, 5));
  interrupt(cli.pid, "SIGINT");
}

export const victims = {
  "Ctrl-C once": ({ cli }) => interrupt(cli.pid, "SIGINT"),
  "Ctrl-C twice": interruptTwice,
  "CLI killed": killed("cli"),
  "plugin killed": killed("plugin"),
  "plugin's script killed": killed("script"),
  "language host killed": killed("languageHost"),
  "program killed": killed("program"),
  "all killed": killed("cli", "script", "plugin", "languageHost", "program"),
} satisfies Record<string, (command: Command) => void | Promise<void>>;

export type Victim = keyof typeof victims;
