/** Names the machine and the programs that a run's numbers belong to. */
import { readFile } from "node:fs/promises";
import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import { ask } from "../tools/setup/command.js";
import { fromRepository } from "../tools/setup/repository.js";

export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  os: string;
  node: string;
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? "unknown",
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  os: `${type()} ${release()}`,
  node: process.versions.node,
});

/** This package's version and, in a clone, its commit; "-dirty" where files differ from it. */
export async function ownVersion(): Promise<string> {
  const commit = await ask("git", ["-C", fromRepository(), "describe", "--always", "--dirty", "--exclude=*"]);
  return `${await versionIn("package.json")}${commit ? ` (${commit})` : ""}`;
}

/** The version of an installed npm package. */
export const installedVersion = (name: string): Promise<string> =>
  versionIn(`node_modules/${name}/package.json`);

const versionIn = async (manifest: string): Promise<string> =>
  (JSON.parse(await readFile(fromRepository(manifest), "utf8")) as { version: string }).version;
