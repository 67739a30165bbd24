import { Argument, type Command } from "commander";
import { MicroVmError } from "../errors.js";
import { listStates, pruneStates, removeStates, type SavedState } from "../launcher/index.js";
import { print, table, type JsonOption } from "./output.js";

type Action = "ls" | "rm" | "prune";

/** `microvm cache ls|rm|prune`: the saved states that VMs go on from. */
export function addCache(program: Command): void {
  program
    .command("cache")
    .description("list the saved states of --warm-start, remove some, or those of no use")
    .addArgument(new Argument("[action]", "what to do").choices(["ls", "rm", "prune"]).default("ls"))
    .argument("[keys...]", "for rm: the beginning of each one's key")
    .option("--json", "print JSON")
    .action(async (action: Action, keys: string[], options: JsonOption) => {
      if ((action === "rm") !== keys.length > 0)
        throw new MicroVmError("InvalidArgument", "rm takes keys, and no other action does", {
          hint: "`microvm cache ls` lists the keys; the beginning of one is enough.",
        });
      const states = await (action === "rm"
        ? removeStates(keys)
        : action === "ls"
          ? listStates()
          : pruneStates());
      print(states, options, () => describe(states, action));
    });
}

function describe(states: SavedState[], action: Action): string {
  if (states.length === 0) return action === "ls" ? "no saved states" : "nothing to remove";
  const rows = states.map(({ key, bytes, memoryMb, usedAt, rvfPath, useless = "" }) => [
    ...[key.slice(0, 12), `${(bytes / 1e6).toFixed(0)} MB`, `${memoryMb} MiB`, usedAt, rvfPath, useless],
  ]);
  const head = ["KEY", "ON DISK", "MEMORY", "USED", "RVF", "OF NO USE"];
  return table([action === "ls" ? head : ["REMOVED", ...head.slice(1)], ...rows]);
}
