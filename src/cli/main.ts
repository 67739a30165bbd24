#!/usr/bin/env node
/** The `microvm` command: the launcher for a terminal. One file a subcommand. */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addCheck } from "./check.js";
import { addDryRun } from "./dry-run.js";
import { addInspect } from "./inspect.js";
import { addLogs } from "./logs.js";
import { addLs } from "./ls.js";
import { reportFailure } from "./output.js";
import { addQuery } from "./query.js";
import { addRun } from "./run.js";
import { addStatus } from "./status.js";
import { addStop } from "./stop.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

// Before the subcommands, which inherit it: a wrong usage is told apart from a failed operation.
const program = new Command("microvm")
  .description("Boot RVF vector stores as QEMU microVMs.")
  .version(version)
  .exitOverride()
  .showHelpAfterError("(--help shows the usage)");

for (const add of [addRun, addLs, addStatus, addLogs, addQuery, addStop, addCheck, addDryRun, addInspect])
  add(program);

try {
  await program.parseAsync();
} catch (error) {
  // Commander has printed its own errors; help and version come here too, with status 0.
  process.exitCode =
    error instanceof CommanderError
      ? error.exitCode === 0
        ? 0
        : 2
      : reportFailure(error, { json: process.argv.includes("--json") });
}
