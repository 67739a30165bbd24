/** Runs the Pulumi CLI on a stack of its own with a file backend, for the demo and the end-to-end tests. */
import { mkdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { execa, type Options, type Result } from "execa";

export interface ProjectOptions {
  /** The folder with Pulumi.yaml. */
  directory: string;
  /** Where backend, plugins, settings and the VMs' state go. */
  workFolder: string;
  stack: string;
  /** The environment of the set-up: PATH with the CLI and its language host. */
  env: NodeJS.ProcessEnv;
  /** The folder whose @pulumi/pulumi serves the engine as plugin. */
  nodeModules: string;
}

export interface PulumiProject {
  /** Runs `pulumi <args>` on the stack. Rejects when it fails, unless `reject: false` is given. */
  pulumi: (args: string[], options?: Options) => Promise<Result>;
  outputs: () => Promise<Record<string, unknown>>;
  /** The environment of the CLI, so that `microvm` sees the same VMs. */
  env: NodeJS.ProcessEnv;
}

/** One command never takes longer than this, however slow the host. */
const commandTimeoutMs = 300_000;

export async function openProject(options: ProjectOptions): Promise<PulumiProject> {
  const { directory, workFolder, stack, nodeModules } = options;
  const backend = join(workFolder, "backend");
  await mkdir(backend, { recursive: true });
  const env: NodeJS.ProcessEnv = {
    ...options.env,
    // The engine finds its Node dynamic provider on PATH; the SDK ships it.
    PATH: [join(nodeModules, "@pulumi", "pulumi"), options.env["PATH"]].join(delimiter),
    PULUMI_BACKEND_URL: `file://${backend}`,
    PULUMI_HOME: join(workFolder, "home"),
    PULUMI_CONFIG_PASSPHRASE: "",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    MICROVM_STATE_DIR: join(workFolder, "state"),
  };
  const settings = ["--stack", stack, "--config-file", join(workFolder, `Pulumi.${stack}.yaml`)];
  const withSettings = new Set(["up", "preview", "refresh", "destroy", "config"]);
  const pulumi = async (args: string[], more: Options = {}) =>
    (await execa("pulumi", [...args, ...(withSettings.has(args[0]!) ? settings : []), "--non-interactive"], {
      cwd: directory,
      env,
      extendEnv: false,
      stdin: "ignore",
      all: true,
      timeout: commandTimeoutMs,
      ...more,
    })) as Result;
  await pulumi(["stack", "init", stack]);
  return {
    pulumi,
    env,
    outputs: async () => {
      const { stdout } = await pulumi(["stack", "output", "--json", "--stack", stack]);
      return JSON.parse(stdout as string) as Record<string, unknown>;
    },
  };
}
