/**
 * The entry of every npm script: `node tools/start.mjs <task> [args]`. It is plain JavaScript on Node's own modules,
 * because in a fresh clone nothing else is there: it installs the npm packages, then runs the task's TypeScript.
 */
import { spawn } from "node:child_process";
import { mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { clearInterval, setInterval } from "node:timers";
import { fileURLToPath } from "node:url";
import { alone } from "./alone.mjs";

const repository = dirname(dirname(fileURLToPath(import.meta.url)));
const tasks = {
  demo: "demo.ts",
  test: "test.ts",
  "test:unit": "test-unit.ts",
  appliance: "appliance.ts",
  lint: "lint.ts",
  build: "build.ts",
  bench: "bench.ts",
  "fuzz:rvf": "fuzz-rvf.ts",
  chaos: "chaos.ts",
  "kill-points": "kill-points.ts",
};

/** Set by a signal: what runs is ended, and nothing further is started. */
let interrupted;

/**
 * Runs a command to its end and passes signals on. Without a terminal it gets a process group of its own, so that
 * a signal to this process reaches everything below; with one, the terminal itself tells the whole group.
 */
function run(command, args, options) {
  const own = !process.stdin.isTTY;
  const child = spawn(command, args, { cwd: repository, detached: own, ...options });
  const tell = (signal) => {
    try {
      if (child.pid !== undefined) process.kill(own ? -child.pid : child.pid, signal);
    } catch {
      // It has ended already.
    }
  };
  const pass = (signal) => {
    if (own || signal !== "SIGINT") tell(interrupted ? "SIGKILL" : signal);
    interrupted ??= signal;
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, pass);
  return {
    child,
    ended: new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        for (const each of signals) process.off(each, pass);
        // Compilers and other grandchildren that the task could not end itself.
        if (own) tell("SIGKILL");
        resolve(code ?? (signal ? 1 : 0));
      });
    }),
  };
}

/** npm writes the hidden lock file as the last thing of an installation. */
async function packagesAreCurrent() {
  const time = (name) =>
    stat(join(repository, name)).then(
      (found) => found.mtimeMs,
      () => undefined,
    );
  const [installed, wanted] = await Promise.all([
    time("node_modules/.package-lock.json"),
    time("package-lock.json"),
  ]);
  return installed !== undefined && wanted !== undefined && installed >= wanted;
}

/** Shows that something goes on: in place on a terminal, else a line now and then for the log. */
function showSeconds(what) {
  const start = Date.now();
  const seconds = () => Math.round((Date.now() - start) / 1000);
  const show = () =>
    process.stdout.write(process.stdout.isTTY ? `\r${what} ${seconds()} s ` : `${what} ${seconds()} s\n`);
  show();
  const timer = setInterval(show, process.stdout.isTTY ? 1000 : 20_000);
  return (end) => {
    clearInterval(timer);
    process.stdout.write(`${process.stdout.isTTY ? "\r" : ""}${what} ${end} (${seconds()} s)\n`);
  };
}

/** Two installations at once would spoil each other. */
async function installPackagesAlone() {
  await mkdir(join(repository, ".cache"), { recursive: true });
  const waiting = (pid) => {
    const done = showSeconds(`Process ${pid} installs the npm packages, waiting for it ...`);
    return () => done("over");
  };
  await alone(join(repository, ".cache", "installing"), waiting, installPackages);
}

/** An interrupted `npm ci` leaves no hidden lock file, so that the next start does it again. */
async function installPackages() {
  if (await packagesAreCurrent()) return;
  const done = showSeconds("Installing the npm packages ...");
  const npm = process.env.npm_execpath;
  const [command, ...first] = npm ? [process.execPath, npm] : ["npm"];
  const { child, ended } = run(command, [...first, "ci", "--no-audit", "--no-fund"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const code = await ended;
  done(interrupted ? "interrupted" : code === 0 ? "done" : "failed");
  if (code === 0 || interrupted) return;
  const lines = output.trim().split("\n").slice(0, 20).join("\n");
  throw new Error(`npm ci failed:\n${lines}\nIs the npm registry reachable from here?`);
}

async function main([task, ...args]) {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Error(`This needs Node 20.19 or newer; ${process.execPath} is ${process.versions.node}.`);
  }
  if (!Object.hasOwn(tasks, task ?? "")) {
    throw new Error(`Usage: node tools/start.mjs ${Object.keys(tasks).join("|")} [arguments]`);
  }
  if (!(await packagesAreCurrent())) await installPackagesAlone();
  if (interrupted) return 1;
  const script = join(repository, "tools", tasks[task]);
  return await run(process.execPath, ["--import", "tsx", script, ...args], { stdio: "inherit" }).ended;
}

const signalNumbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };
main(process.argv.slice(2)).then(
  (code) => (process.exitCode = interrupted ? 128 + signalNumbers[interrupted] : code),
  (error) => {
    console.error(error.message);
    process.exitCode = 1;
  },
);
