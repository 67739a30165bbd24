#!/usr/bin/env node
/** The `microvm` command: the launcher for a terminal. One file a subcommand. */
import { systemErrorCode } from "../errors.js";
import { microvm } from "./program.js";

// The reader of a pipe may go away, as `head` does; that is no reason to drop a VM that is being watched over.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error) => {
    if (systemErrorCode(error) !== "EPIPE") throw error;
  });
}

process.exitCode = await microvm(process.argv.slice(2));
