/** The entry of the npm scripts, on a repository of its own with an npm of its own. */
import { once } from "node:events";
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { jest } from "@jest/globals";
import { execa } from "execa";
import { eventually, isAlive } from "../support/wait.js";

// Each test starts Node processes, which take seconds on a busy machine.
jest.setTimeout(60_000);

let repository: string;

/** Installs as npm does in what matters here: modules first, the hidden lock file last; it counts its runs. */
const npm = `
const fs = require("node:fs");
fs.appendFileSync("npm-runs", process.argv.slice(2).join(" ") + "\\n");
if (fs.existsSync("broken")) { console.error("npm error no such package"); process.exit(1); }
setTimeout(() => {
  fs.mkdirSync("node_modules", { recursive: true });
  if (!fs.existsSync("node_modules/tsx")) fs.symlinkSync(${JSON.stringify(resolve("node_modules/tsx"))}, "node_modules/tsx");
  fs.writeFileSync("node_modules/.package-lock.json", "{}");
}, 300);
`;

const task = `
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";

const [what, ...rest] = process.argv.slice(2);
console.log("task ran with", JSON.stringify(rest));
if (what === "wait") {
  const child = spawn("sleep", ["1000"], { stdio: "ignore" });
  writeFileSync("pids", process.pid + " " + child.pid);
} else process.exitCode = Number(what ?? 0);
`;

beforeEach(async () => {
  repository = await mkdtemp(join(tmpdir(), "microvm-start-"));
  await mkdir(join(repository, "tools"));
  for (const file of ["tools/start.mjs", "tools/alone.mjs"])
    await copyFile(resolve(file), join(repository, file));
  await writeFile(join(repository, "tools/build.ts"), task);
  await writeFile(join(repository, "package.json"), '{"type":"module"}');
  await writeFile(join(repository, "package-lock.json"), "{}");
  await writeFile(join(repository, "npm.cjs"), npm);
  await chmod(join(repository, "npm.cjs"), 0o755);
});

afterEach(async () => await rm(repository, { recursive: true, force: true }));

const start = (...args: string[]) =>
  execa(process.execPath, [join(repository, "tools/start.mjs"), ...args], {
    env: { npm_execpath: join(repository, "npm.cjs"), NODE_OPTIONS: "" },
    stdin: "ignore",
    reject: false,
    timeout: 30_000,
  });

const npmRuns = async () => (await readFile(join(repository, "npm-runs"), "utf8")).trim().split("\n");

test("installs the packages once, then runs the task with its arguments and exit status", async () => {
  const first = await start("build", "3", "a b", "--c");
  expect(first.stdout).toContain("Installing the npm packages ... done");
  expect(first.stdout).toContain('task ran with ["a b","--c"]');
  expect(first.exitCode).toBe(3);
  const second = await start("build");
  expect(second.stdout).not.toContain("Installing");
  expect(second.exitCode).toBe(0);
  expect(await npmRuns()).toEqual(["ci --no-audit --no-fund"]);
});

test("installs again when the lock file is newer", async () => {
  await start("build");
  const later = new Date(Date.now() + 60_000);
  await utimes(join(repository, "package-lock.json"), later, later);
  await start("build");
  expect(await npmRuns()).toHaveLength(2);
});

test("two at once install once", async () => {
  const both = await Promise.all([start("build"), start("build")]);
  expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  expect(await npmRuns()).toHaveLength(1);
});

/** As a process leaves it that is killed while it installs. */
async function hold(pid: number, startTime: string): Promise<string> {
  const lock = join(repository, ".cache/installing");
  await mkdir(lock, { recursive: true });
  await writeFile(join(lock, `${pid}-${startTime}`), "");
  return lock;
}

test.each(["whose holder is dead", "whose holder's pid another process has now"])(
  "a lock %s is no obstacle",
  async (what) => {
    const { pid } = execa("true");
    await eventually(() => !isAlive(pid!));
    const lock = await hold(what.includes("dead") ? pid! : process.pid, "1");
    const both = await Promise.all([start("build"), start("build")]);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(await npmRuns()).toHaveLength(1);
    expect(await readdir(lock)).toEqual([]);
    expect(await readdir(dirname(lock))).toEqual(["installing"]);
  },
);

test("a lock whose holder lives is waited for, and by name", async () => {
  const startTime = (await readFile("/proc/self/stat", "utf8")).split(" ")[21]!;
  const lock = await hold(process.pid, startTime);
  const waiting = start("build");
  await once(waiting.stdout, "data");
  expect(await readdir(lock)).toEqual([`${process.pid}-${startTime}`]);
  await rm(lock, { recursive: true });
  const { exitCode, stdout } = await waiting;
  expect(stdout).toContain(`Process ${process.pid} installs the npm packages, waiting for it ... over`);
  expect(exitCode).toBe(0);
});

test("a failing npm ci is told with its words, and no task runs", async () => {
  await writeFile(join(repository, "broken"), "");
  const { exitCode, stdout, stderr } = await start("build");
  expect(exitCode).toBe(1);
  expect(stderr).toContain("npm error no such package");
  expect(stdout).not.toContain("task ran");
});

test("an unknown task is told with the known ones", async () => {
  const { exitCode, stderr } = await start("toString");
  expect(exitCode).toBe(1);
  expect(stderr).toContain("demo|test|test:unit|appliance|lint|build");
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s ends the task and what it started", async (signal, status) => {
  const running = start("build", "wait");
  const pids = await eventually(async () => {
    const text = await readFile(join(repository, "pids"), "utf8").catch(() => "");
    return text.includes(" ") && text.split(" ").map(Number);
  });
  running.kill(signal);
  expect((await running).exitCode).toBe(status);
  await eventually(() => !pids.some(isAlive));
});
