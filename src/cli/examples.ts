/** The end of each subcommand's help. */
import type { Command } from "commander";

/** Lines that work as they are, with the user's own files; those below another use what it made. */
const examples: Record<string, string[]> = {
  run: [
    "microvm run db.rvf                      # until Ctrl-C",
    "microvm run -d --name shop -p 0 db.rvf  # in the background, on a free port",
    "microvm run --appliance vectors.rvf     # a store without a kernel",
    "url=$(microvm run -d --json db.rvf | jq -r .url)",
  ],
  ls: ["microvm ls", "microvm ls --json | jq -r '.[] | select(.state == \"exited\") | .vmId'"],
  status: ["microvm status shop", "microvm status --json shop | jq .pid"],
  logs: ["microvm logs shop | tail", "microvm logs -f shop"],
  query: [
    "microvm query shop --vector '[0.9, 0.1, 0]' -k 2",
    "microvm query http://127.0.0.1:8080 --vector '[0.9, 0.1, 0]'",
  ],
  stop: ["microvm stop shop"],
  kill: ["microvm kill shop"],
  prune: ["microvm prune --dry-run", "microvm prune"],
  check: ["microvm check", "microvm check --arch aarch64"],
  "dry-run": ["microvm dry-run db.rvf", "microvm dry-run --json -m 256 db.rvf | jq .argv"],
  inspect: ["microvm inspect db.rvf", "microvm inspect --json db.rvf | jq .kernel.image"],
  verify: [
    "microvm verify db.rvf",
    "microvm verify signed.rvf --verification signed --trusted-key release.pub",
  ],
  extract: ["microvm extract db.rvf -o vmlinuz --initramfs initramfs.img"],
  embed: ["microvm embed vectors.rvf --image appliance.img -o db.rvf"],
  sign: ["microvm sign db.rvf --key release.key -o signed.rvf"],
  adopt: ["microvm adopt db-1f3a5b7c --stack-file stack.json --name db -o adopted.json"],
  appliance: [
    "microvm appliance                       # the one that --appliance boots, built if need be",
    "microvm appliance --from appliance.img --sha256 HASH",
    "microvm appliance --out appliance.img",
    "microvm appliance --arch aarch64 --out appliance-aarch64.img",
  ],
  cache: ["microvm cache ls", "microvm cache rm 3f9a", "microvm cache prune"],
  keygen: ["microvm keygen -o release  # release.key and release.pub"],
};

const shown = (lines: string[]): string => `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`;

/** Adds them to every subcommand there is, and to the program what holds for all. */
export function withExamples(program: Command): void {
  for (const command of program.commands) command.addHelpText("after", shown(examples[command.name()]!));
  program.addHelpText(
    "after",
    `${shown(["microvm check", "microvm run -d --name shop db.rvf", "microvm stop shop"])}

Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
With --json stdout is one document (docs/command.md), and a failure ends stderr
with {"error":{"code","message","hint"}}.`,
  );
}
