#!/usr/bin/env node
/** The `microvm` command: the launcher for a terminal. One file a subcommand. */
import { MicroVmError, systemErrorCode } from "../errors.js";
import { reportFailure } from "./output.js";
import { microvm } from "./program.js";

const args = process.argv.slice(2);

// A VM that is being watched over is not dropped because nobody takes the output any more. That the reader of a pipe goes
// away, as `head` does, is not even worth a word.
process.stderr.on("error", () => undefined);
let unwritten: Error | undefined;
process.stdout.on("error", (error: Error) => {
  if (systemErrorCode(error) !== "EPIPE") unwritten = error;
});
process.once("exit", (status) => {
  if (status !== 0 || unwritten === undefined) return;
  const failure = new MicroVmError("Io", `standard output cannot be written: ${unwritten.message}`);
  process.exitCode = reportFailure(failure, { json: args.includes("--json") });
});

process.exitCode = await microvm(args);
