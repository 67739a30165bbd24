/** A Pulumi stack with one MicroVm, in a place of its own on this host, worked on by the real CLI. */
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isPortFree } from "../../src/launcher/index.js";
import { processesStartedWith } from "../../tools/leftovers.js";
import { configFileOf, openProject, type Running } from "../../tools/pulumi-project.js";
import { processesIn } from "../chaos/processes.js";
import { randomFrom } from "../chaos/random.js";
import { partOf } from "./parties.js";
import { killUnlessGone } from "../support/kill.js";
import { sampleRvf } from "../support/rvf.js";

/** What its program asks for. */
export interface Wish {
  /** 0 takes any. */
  apiPort: number;
  memoryMb: number;
  updateStrategy?: "stopFirst";
  options?: { replaceOnChanges: ["memoryMb"]; deleteBeforeReplace?: false };
}

export interface Said {
  done: boolean;
  words: string;
}

export interface Stack {
  dir: string;
  /** The backend's file for it. */
  stateFile: string;
  wish: Wish;
  /** Two of them, which nobody else has. */
  ports: readonly [number, number];
  set(wish: Wish): Promise<void>;
  start(command: "up" | "destroy"): Running;
  /** Runs it to its end, first giving back the lock of a CLI that was killed, as that demands. */
  run(...args: string[]): Promise<Said>;
  state(): Promise<State>;
  /**
   * The engine's plugin, where it does not go within 10 seconds of a command's end. The language host of a CLI that was killed looks
   * every 5 minutes only whether its engine lives, and then goes.
   */
  stragglers(): Promise<{ pid: number; part: string }[]>;
  /** Ends and removes everything, whatever state it is in. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

export interface State {
  /** The VMs that it holds; more than one where a replacement is pending. */
  vms: { id: string; outputs: Record<string, unknown> }[];
  /** Operations that were begun and of which nobody knows how they ended. */
  pending: string[];
}

/** Points this process's environment at the stack's place. */
export async function openStack(): Promise<Stack> {
  const dir = await mkdtemp(join(tmpdir(), "kill-points-"));
  for (const [name, part] of Object.entries(parts)) {
    process.env[name] = join(dir, part);
    await mkdir(join(dir, part), { mode: 0o700 });
  }
  const name = "kill-points";
  const rvfPath = await sampleRvf();
  const open = async () =>
    await openProject({
      directory: fileURLToPath(new URL("../fixtures/projects/args", import.meta.url)),
      workFolder: dir,
      stack: name,
      env: process.env,
    });
  let project = await open();
  const ports = [await quietPort(), await quietPort()] as const;
  const backend = join(dir, "backend", ".pulumi");
  const stack: Stack = {
    ...{ dir, ports, stateFile: join(backend, "stacks", "args", `${name}.json`) },
    wish: { apiPort: ports[0], memoryMb: 128 },
    async set(wish) {
      stack.wish = wish;
      const { options = {}, ...args } = wish;
      const values = { args: { ...args, rvfPath, enableKvm: false }, options };
      // As `pulumi config set` would, which takes a second.
      const file = configFileOf(dir, name);
      const [settings] = (await readFile(file, "utf8")).split("config:\n");
      const lines = Object.entries(values).map(
        ([key, value]) => `  args:${key}: '${JSON.stringify(value)}'\n`,
      );
      await writeFile(file, `${settings}config:\n${lines.join("")}`);
    },
    start: (command) => project.start([command, ...unasked]),
    async run(...args) {
      if ((await readdir(join(backend, "locks"), { recursive: true })).some((file) => file.endsWith(".json")))
        await project.pulumi(["cancel", "--yes", name]);
      const { exitCode, all } = await project.pulumi([...args, ...unasked], { reject: false });
      return { done: exitCode === 0, words: String(all) };
    },
    async state() {
      const { checkpoint } = JSON.parse(await readFile(stack.stateFile, "utf8")) as Checkpoint;
      const { resources = [], pending_operations: pending = [] } = checkpoint.latest ?? {};
      return {
        vms: resources.filter(({ type }) => type.endsWith("microvm:MicroVm")),
        pending: pending.map(({ type }) => type),
      };
    },
    async stragglers() {
      for (let tries = 0; ; tries++) {
        const left = (await processesStartedWith(dir)).flatMap((pid) => {
          const part = partOf(pid);
          return part === "plugin" || part === "script" ? [{ pid, part }] : [];
        });
        if (left.length === 0 || tries >= 100) return left;
        await sleep(100);
      }
    },
    async clear() {
      const pids = [...(await processesIn(dir)).map(({ pid }) => pid), ...(await processesStartedWith(dir))];
      for (const pid of pids) killUnlessGone(pid);
      for (const part of ["backend", "state/vms", "state/boots", "home"]) await rm(join(dir, part), removal);
      project = await open();
      await stack.set(stack.wish);
    },
    async close() {
      await stack.clear();
      await rm(dir, removal);
    },
  };
  await stack.set(stack.wish);
  return stack;
}

const parts = { MICROVM_STATE_DIR: "state", MICROVM_CACHE_DIR: "cache", TMPDIR: "tmp" };
const unasked = ["--yes", "--skip-preview"];
const removal = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 };

interface Checkpoint {
  checkpoint: {
    latest?: {
      resources?: { type: string; id: string; outputs: Record<string, unknown> }[];
      pending_operations?: { type: string }[];
    };
  };
}

/** One that no program is given by the system, which gives higher ones. */
async function quietPort(): Promise<number> {
  const random = randomFrom(process.pid + Date.now());
  for (;;) {
    const port = 20_000 + random.below(10_000);
    if (await isPortFree(port)) return port;
  }
}
