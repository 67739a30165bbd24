/** Runs the Pulumi CLI on a stack of its own with a file backend, for the demo and the end-to-end tests. */
import { mkdir, rename } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { execa, type Options, type Result, type Subprocess } from "execa";
import { fromRepository } from "./setup/repository.js";

export interface ProjectOptions {
  /** The folder with Pulumi.yaml. */
  directory: string;
  /** Where backend, plugins, settings and the VMs' state go. */
  workFolder: string;
  stack: string;
  /** The environment of the set-up: PATH with the CLI and its language host. */
  env: NodeJS.ProcessEnv;
}

/** A command under way, with all its words in `all`; it resolves when it ended, however that was. */
export type Running = Pick<Subprocess<{ all: true }>, "kill" | "all" | "pid"> &
  PromiseLike<Pick<Result, "exitCode">>;

export interface PulumiProject {
  /** Runs `pulumi <args>` on the stack. Rejects when it fails, unless `reject: false` is given. */
  pulumi: (args: string[], options?: Options) => Promise<Result>;
  /** Starts it without waiting; what it resolves to tells how it ended. */
  start: (args: string[]) => Running;
  outputs: () => Promise<Record<string, unknown>>;
  /** The environment of the CLI, so that `microvm` sees the same VMs. */
  env: NodeJS.ProcessEnv;
}

/** One command never takes longer than this, however slow the host. */
const commandTimeoutMs = 300_000;

/** The stack's configuration, kept out of the project's own folder. */
export const configFileOf = (workFolder: string, stack: string): string =>
  join(workFolder, `Pulumi.${stack}.yaml`);

/** The environment of a CLI whose backend, plugins, settings and VMs are in the folder. */
export async function pulumiEnvironment({
  workFolder,
  env,
}: Pick<ProjectOptions, "workFolder" | "env">): Promise<NodeJS.ProcessEnv> {
  const backend = join(workFolder, "backend");
  await mkdir(backend, { recursive: true });
  return {
    ...env,
    // The engine's plugin for Node lies beside a vendor's CLI; for a CLI without one the SDK ships it too.
    PATH: [env["PATH"], fromRepository("node_modules/@pulumi/pulumi")].join(delimiter),
    PULUMI_BACKEND_URL: `file://${backend}`,
    PULUMI_HOME: join(workFolder, "home"),
    PULUMI_CONFIG_PASSPHRASE: "",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    MICROVM_STATE_DIR: join(workFolder, "state"),
  };
}

/** Makes the stack, which must not be there yet. */
export async function openProject(options: ProjectOptions): Promise<PulumiProject> {
  const { directory, workFolder, stack } = options;
  const env = await pulumiEnvironment(options);
  const configFile = configFileOf(workFolder, stack);
  const settings = ["--stack", stack, "--config-file", configFile];
  const withSettings = ["up", "preview", "refresh", "destroy", "config"];
  const commandLine = (args: string[]) => [
    ...args,
    ...(withSettings.includes(args[0]!) ? settings : []),
    "--non-interactive",
  ];
  const processOptions = {
    cwd: directory,
    env,
    extendEnv: false,
    stdin: "ignore",
    all: true,
    timeout: commandTimeoutMs,
  } as const;
  const pulumi = async (args: string[], more: Options = {}) =>
    (await execa("pulumi", commandLine(args), { ...processOptions, ...more })) as Result;
  await pulumi(["stack", "init", stack]);
  // The one command that takes no --config-file: it writes beside Pulumi.yaml.
  await rename(join(directory, `Pulumi.${stack}.yaml`), configFile);
  return {
    pulumi,
    start: (args) => execa("pulumi", commandLine(args), { ...processOptions, reject: false }),
    env,
    outputs: async () => {
      const { stdout } = await pulumi(["stack", "output", "--json", "--stack", stack]);
      return JSON.parse(stdout as string) as Record<string, unknown>;
    },
  };
}
