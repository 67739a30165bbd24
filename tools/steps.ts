/** Shows work as steps: what goes on, how long it took, what to do when it failed. */
import { Listr, PRESET_TIMER, type ListrTask } from "listr2";
import type { Report } from "./setup/command.js";
import { describe, SetupError } from "./setup/error.js";

export interface Step {
  title: string;
  /** Does the work; what it resolves to is shown behind the title. */
  run: (report: Report) => Promise<string>;
}

/** How often the line below a running step is renewed: live on a terminal, now and then in a log. */
const beatMillis = process.stdout.isTTY ? 500 : 20_000;

/** Runs steps, `concurrent` (default 1) at a time, all of them even when one fails; then throws what failed. */
export async function runSteps(steps: Step[], { concurrent = 1 } = {}): Promise<void> {
  const failures: string[] = [];
  const tasks: ListrTask[] = steps.map(({ title, run }) => ({
    title,
    task: async (_, task) => {
      const start = Date.now();
      let doing = "started";
      const beat = setInterval(() => {
        task.output = `${title}: ${doing} (${Math.round((Date.now() - start) / 1000)} s)`;
      }, beatMillis);
      try {
        const done = await run((line) => (doing = line));
        task.title = `${title}: ${done}`;
      } catch (error) {
        failures.push(`${title}: ${describe(error)}`);
        throw error;
      } finally {
        clearInterval(beat);
      }
    },
  }));
  const rendererOptions = { timer: { ...PRESET_TIMER, condition: (duration: number) => duration >= 1000 } };
  const options = {
    concurrent,
    exitOnError: false,
    rendererOptions,
    fallbackRendererOptions: rendererOptions,
  };
  await new Listr(tasks, options).run();
  if (failures.length > 0) throw new SetupError(failures.join("\n\n"));
}

/** Runs a task's work; what it throws is told and becomes exit status 1. */
export async function main(work: () => Promise<number | void>): Promise<void> {
  try {
    process.exitCode = (await work()) ?? 0;
  } catch (error) {
    console.error(`\n${describe(error)}`);
    process.exitCode = 1;
  }
}
