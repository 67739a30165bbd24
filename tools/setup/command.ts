/** Finds and runs other people's programs. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { execa } from "execa";
import { SetupError } from "./error.js";

/** Told what goes on at the moment, in one line. */
export type Report = (line: string) => void;

/** The path of an executable on PATH or in `folders` (looked at after PATH), or undefined. */
export async function which(name: string, folders: string[] = []): Promise<string | undefined> {
  const onPath = (process.env["PATH"] ?? "").split(delimiter).filter(Boolean);
  for (const folder of [...onPath, ...folders]) {
    const path = join(folder, name);
    const usable = await access(path, constants.X_OK).then(
      async () => (await stat(path)).isFile(),
      () => false,
    );
    if (usable) return path;
  }
  return undefined;
}

/** What a program prints on stdout; undefined when it is not there, fails or takes longer than 20 seconds. */
export async function ask(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string | undefined> {
  const result = await execa(command, args, { stdin: "ignore", timeout: 20_000, env, reject: false });
  return result.failed ? undefined : result.stdout;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Text for its stdin; default: none. */
  input?: string;
  /** How many of the last lines an error shows. @default 20 */
  tail?: number;
  report: Report;
}

/** Runs a program to its end, reports each line it prints. Throws SetupError with its last lines when it fails. */
export async function run(
  command: string,
  args: string[],
  { report, tail = 20, ...options }: RunOptions,
): Promise<void> {
  const subprocess = execa(command, args, {
    ...options,
    input: options.input ?? "",
    all: true,
    buffer: false,
  });
  const last: string[] = [];
  try {
    for await (const line of subprocess.iterable({ from: "all" })) {
      const text = stripVTControlCharacters(line.slice(line.lastIndexOf("\r") + 1)).trimEnd();
      if (text === "") continue;
      last.push(text);
      if (last.length > tail) last.shift();
      report(text.trim());
    }
    await subprocess;
  } catch (cause) {
    const { exitCode, signal, code } = cause as { exitCode?: number; signal?: string; code?: string };
    const how = exitCode === undefined ? (signal ?? code ?? "could not be run") : `exit status ${exitCode}`;
    throw new SetupError(`${[command, ...args].join(" ")} failed: ${how}`, {
      evidence: last.join("\n"),
      cause,
    });
  }
}
