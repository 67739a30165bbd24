/** Who takes part in a command of the Pulumi CLI, whose process is also the engine. */
import { readFileSync, readdirSync } from "node:fs";

/** Each is there from some moment of the command on; there is no program at a destroy. */
export interface Parties {
  /** The shell script through which the engine starts its plugin. */
  script?: number;
  /** The engine's plugin, in which the provider runs. */
  plugin?: number;
  languageHost?: number;
  program?: number;
}

const marks: Record<keyof Parties, (argv: string[]) => boolean> = {
  script: ([shell = "", file = ""]) => shell.endsWith("sh") && file.endsWith("pulumi-resource-pulumi-nodejs"),
  plugin: ([, file = ""]) => file.includes("/cmd/dynamic-provider"),
  languageHost: ([file = ""]) => file.endsWith("pulumi-language-nodejs"),
  program: (argv) => argv.some((word) => word.includes("/cmd/run/")),
};

export function partiesOf(cli: number): Parties {
  const found: Parties = {};
  for (const pid of descendants(cli)) {
    const part = partOf(pid);
    if (part) found[part] = pid;
  }
  return found;
}

/** Which part the process has in a command, whosever that is. */
export function partOf(pid: number): keyof Parties | undefined {
  const argv = read(`/proc/${pid}/cmdline`).split("\0");
  return (Object.keys(marks) as (keyof Parties)[]).find((name) => marks[name](argv));
}

function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // proc(5): state and parent follow the last `)`, because the command name may hold anything.
    const stat = read(`/proc/${name}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const below = (parent: number): number[] =>
    (children.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
