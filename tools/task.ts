/** What a task behind an npm script takes on its command line. */
import { Command } from "commander";

/** Ends the process with the usage where that is asked for, with status 2 where something is wrong. */
export const taskCommand = (name: string, does: string): Command =>
  new Command(`npm run ${name} --`)
    .description(does)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
