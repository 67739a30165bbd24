import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { MicroVmError } from "../errors.js";
import { addAdopt } from "./adopt.js";
import { addAppliance } from "./appliance.js";
import { addCache } from "./cache.js";
import { addCheck } from "./check.js";
import { addDryRun } from "./dry-run.js";
import { addEmbed } from "./embed.js";
import { addExtract } from "./extract.js";
import { addInspect } from "./inspect.js";
import { withExamples } from "./examples.js";
import { Interrupted } from "./interrupt.js";
import { addKeygen } from "./keygen.js";
import { addLogs } from "./logs.js";
import { addLs } from "./ls.js";
import { reportFailure } from "./output.js";
import { addPrune } from "./prune.js";
import { addQuery } from "./query.js";
import { addRun } from "./run.js";
import { addSign } from "./sign.js";
import { addStatus } from "./status.js";
import { addStop } from "./stop.js";
import { addVerify } from "./verify.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** Runs the command with the arguments behind its name and returns its exit status. */
export async function microvm(args: string[]): Promise<number> {
  // Before the subcommands, which inherit it. Wrong usage is told in the same shape as every other failure.
  const program = new Command("microvm")
    .description("Boot RVF vector stores as QEMU microVMs.")
    .version(version)
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  for (const add of [
    addRun,
    addLs,
    addStatus,
    addLogs,
    addQuery,
    addStop,
    addPrune,
    addCheck,
    addDryRun,
    addInspect,
    addVerify,
    addExtract,
    addEmbed,
    addSign,
    addKeygen,
    addAppliance,
    addCache,
    addAdopt,
  ])
    add(program);
  withExamples(program);

  try {
    await program.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    // Help and version come here too, printed already; without a subcommand the help is the whole answer.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    if (error instanceof CommanderError && error.code === "commander.help") return 2;
    const options = { json: args.includes("--json") };
    if (error instanceof Interrupted) {
      reportFailure(error.cause, options);
      return error.exitStatus;
    }
    return reportFailure(error instanceof CommanderError ? wrongUsage(error) : error, options);
  }
}

const wrongUsage = ({ message }: CommanderError): MicroVmError =>
  new MicroVmError("InvalidArgument", message.replace(/^error: /, ""), { hint: "--help shows the usage." });
