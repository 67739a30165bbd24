/** Runs the `microvm` command as a user does: the package's own, which `npm test` has compiled, in a process of its own. */
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import type { Outcome } from "./outcome.js";

/** Far above what any call here takes: a call that hangs fails instead. */
const limitMs = 120_000;

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** The command's own words, for a shell in `root` too. */
export const command = [process.execPath, "dist/cli/main.js"] as const;

/** The running command; await it for its end, whatever its exit status. */
export function start(...args: string[]) {
  const [node, ...own] = command;
  return execa(node, [...own, ...args], { cwd: root, reject: false, stdin: "ignore", timeout: limitMs });
}

export type Running = ReturnType<typeof start>;

/** Waits until the command has said these words on its stderr; fails when it ends without. */
export async function told(running: Running, words: string): Promise<void> {
  let said = "";
  const heard = new Promise<void>((done) => {
    running.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(words)) done();
    });
  });
  const ended = running.then(() => {
    throw new Error(`it never said "${words}", but:\n${said}`);
  });
  await Promise.race([heard, ended]);
}

export async function outcomeOf(running: Running): Promise<Outcome> {
  const { exitCode, stdout, stderr } = await running;
  return { status: exitCode, stdout, stderr };
}

export const microvm = async (...args: string[]): Promise<Outcome> => await outcomeOf(start(...args));

/** The one JSON document on stdout of a command that succeeds. */
export async function json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await microvm(...args, "--json");
  if (status !== 0) throw new Error(`microvm ${args.join(" ")} exited with ${status}:\n${stderr}`);
  return JSON.parse(stdout) as T;
}
