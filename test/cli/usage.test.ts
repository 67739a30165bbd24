/** What the command says without a VM: usage, refusals, exit status. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inFlags } from "../../src/cli/flags.js";
import { checkInput, specKeys } from "../../src/launcher/spec.js";
import { untold } from "../support/docs.js";
import { run } from "./in-process.js";
import { errorIn } from "./outcome.js";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "microvm-cli-"));
  process.env["MICROVM_STATE_DIR"] = join(dir, "state");
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
});
afterAll(() => rm(dir, { recursive: true }));

test("help and version are no failure", async () => {
  const help = await run("--help");
  expect(help).toMatchObject({ status: 0, stderr: "" });
  for (const name of [
    ..."run ls status logs query stop kill prune check dry-run".split(" "),
    ..."inspect verify extract embed sign keygen appliance cache adopt".split(" "),
  ])
    expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, "m"));
  expect(await run("--version")).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
  });
  for (const name of ["run", "inspect", "verify", "extract"])
    expect(await run(name, "--help")).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(new RegExp(`^Usage: microvm ${name} \\[options\\] <file>\n`)) as string,
      stderr: "",
    });
});

test("every subcommand's help ends with examples, whose options it has", async () => {
  const help = await run("--help");
  const names = [...help.stdout.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map((match) => match[1]!);
  expect(names).toHaveLength(19);
  for (const name of names) {
    const { stdout } = await run(name, "--help");
    const [options, examples] = stdout.split("\nExamples:\n") as [string, string];
    const lines = examples.split("\n");
    expect(
      lines.filter((line) => !line.includes(`microvm ${name} `) && line !== `  microvm ${name}`),
    ).toEqual([]);
    for (const [, option] of examples
      .split(/ [|#] .*$/m)
      .join("")
      .matchAll(/ (--?[a-z0-9-]+)/g))
      expect(options).toMatch(new RegExp(`^  .*${option!}\\b.*  `, "m"));
  }
});

test("what the launcher calls by its inputs' names is told by its option", async () => {
  const { stdout } = await run("run", "--help");
  for (const input of specKeys) {
    const option = inFlags(`Set ${input}.`).slice(4, -1);
    if (["enableKvm", "verification", "kernel"].includes(input)) expect(option).toBe(input);
    else
      expect(stdout).toMatch(
        option === "FILE" ? /<file>/ : new RegExp(`^  .*${option} <|^  ${option}  `, "m"),
      );
  }
  expect(inFlags('The kernel is none: kernel: "appliance".')).toBe("The kernel is none: --appliance.");
  expect(inFlags("extraArgs.0: -S")).toBe("--extra-args: -S");
  const others = "/memoryMb/vcpus --vcpus boundApiPort apiPorts --x-vcpus";
  expect(inFlags(others)).toBe(others);
});

test("what a number may be is in its option's help", async () => {
  const { stdout } = await run("run", "--help");
  const options = stdout.replace(/\n {10,}/g, " ");
  let numbers = 0;
  for (const input of specKeys) {
    const checked = checkInput(input, Number.NaN);
    const most = "problem" in checked ? /must be a .*number.* (\d+)$/.exec(checked.problem)?.[1] : undefined;
    if (most === undefined) continue;
    numbers++;
    expect(options).toMatch(new RegExp(`${inFlags(input)} <.* ${most}\\b`));
  }
  expect(numbers).toBe(8);
});

test("no command leaves a listener on this process's signals", async () => {
  const listeners = () => ["SIGINT", "SIGTERM", "SIGHUP"].map((name) => process.listenerCount(name));
  const before = listeners();
  await run("run", "/no/such.rvf");
  await run("extract", "/no/such.rvf", "-o", join(dir, "kernel"));
  expect(listeners()).toEqual(before);
});

test("docs/command.md tells of what keygen prints", async () => {
  const { stdout } = await run("keygen", "-o", join(dir, "mine"), "--json");
  expect(await untold(JSON.parse(stdout) as object, "`keygen`")).toEqual([]);
});

test("no subcommand: the help, as wrong usage", async () => {
  const outcome = await run();
  expect(outcome).toMatchObject({ status: 2, stdout: "" });
  expect(outcome.stderr).toMatch(/^Usage: microvm /);
});

test.each([
  ["no such subcommand", ["launch"], "unknown command 'launch'"],
  ["no file", ["run"], "missing required argument 'file'"],
  ["a file too many", ["inspect", "a", "b"], "too many arguments"],
  [
    "a port that is no number",
    ["run", "x.rvf", "-p", "http"],
    "argument 'http' is invalid. It must be a whole number from 0 to 65535.",
  ],
  ["an option nobody knows", ["run", "x.rvf", "--cpus", "2"], "unknown option '--cpus'"],
  ["a vector that is no JSON array", ["query", "db", "--vector", "1,2"], "must be a JSON array of numbers"],
  ["a vector of words", ["query", "db", "--vector", '["a"]'], "must be a JSON array of numbers"],
  [
    "no neighbour",
    ["query", "db", "-v", "[1]", "-k", "0"],
    "argument '0' is invalid. It must be from 1 to 10000.",
  ],
  ["too many neighbours", ["query", "db", "-v", "[1]", "-k", "10001"], "It must be from 1 to 10000."],
  ["no vector", ["query", "db"], "required option '-v, --vector <json>' not specified"],
  ["an architecture nobody has", ["check", "--arch", "z80"], "x86_64, aarch64, riscv64"],
  [
    "a value out of range",
    ["run", "x.rvf", "-m", "1"],
    "--memory <MiB>' argument '1' is invalid. It must be a whole number of MiB from 16 to 1048576.",
  ],
  [
    "a time out of range",
    ["run", "x.rvf", "--ready-timeout", "7200"],
    "It must be a number of seconds above 0, at most 3600.",
  ],
  ["a policy nobody has", ["verify", "x.rvf", "--verification", "hard"], "lenient, strict, signed"],
  ["a policy where nothing is demanded", ["inspect", "x.rvf", "--verification", "strict"], "unknown option"],
  ["a key that is a folder", ["verify", "x.rvf", "--trusted-key", "/"], 'The key "/" is a directory.'],
  [
    "an architecture whose kernel is the micro one alone",
    ["appliance", "--arch", "aarch64", "--kernel", "debian"],
    "there is no appliance for aarch64 with Debian's kernel",
  ],
  [
    // That both go together is seen by what is refused instead.
    "half of a prebuilt appliance",
    ["appliance", "--arch", "aarch64", "--kernel", "micro", "--sha256", "0"],
    "--from and --sha256 belong together",
  ],
  ["no CPU", ["run", "x.rvf", "--vcpus", "0"], "from 1 to 288 for x86-64 guests, for others to 512."],
  ["no output", ["extract", "x.rvf"], "required option '-o, --output <file>' not specified"],
  ["a key without a name", ["keygen", "-o", ""], '--output: "" names no file'],
  ["a key that is a folder's", ["keygen", "-o", "/no/such/"], '--output: "/no/such/" names no file'],
  ["an argument of the launcher's own", ["run", "x.rvf", "--extra-args=-S"], "-S is up to the launcher"],
  [
    "an argument that undoes the isolation",
    ["dry-run", "x.rvf", "--extra-args=-nic", "--extra-args=user"],
    "-nic user would give the guest a network",
  ],
  ["a host name to bind to", ["dry-run", "x.rvf", "--bind", "localhost"], "--bind: "],
  [
    "one port for both",
    ["dry-run", "x.rvf", "--port", "9000", "--ssh-port", "9000"],
    "--ssh-port: 9000 is --port already",
  ],
])("wrong usage has status 2: %s", async (_, args, words) => {
  const outcome = await run(...args);
  expect(outcome).toMatchObject({ status: 2, stdout: "" });
  expect(outcome.stderr).toMatch(/^InvalidArgument: /);
  expect(outcome.stderr).toContain(words);
  const document = await run(...args, "--json");
  expect(document).toMatchObject({ status: 2, stdout: "" });
  expect(errorIn(document)).toMatchObject({
    code: "InvalidArgument",
    message: expect.stringContaining(words) as string,
  });
});

test.each([
  ["a missing file", ["run", "/no/such.rvf"], "FileNotFound"],
  ["a missing file, inspected", ["inspect", "/no/such.rvf"], "FileNotFound"],
  ["a missing file, verified", ["verify", "/no/such.rvf"], "FileNotFound"],
  ["a missing file, extracted", ["extract", "/no/such.rvf", "-o", "/no/such"], "FileNotFound"],
  ["a missing file, planned", ["dry-run", "/no/such.rvf"], "FileNotFound"],
  ["a missing key", ["verify", "x.rvf", "--trusted-key", "/no/such.pub"], "FileNotFound"],
  ["a missing export", ["adopt", "db", "--stack-file", "/no", "--name", "db", "-o", "x"], "FileNotFound"],
  ["an unknown VM", ["status", "nobody"], "VmNotFound"],
  ["an unknown VM, asked", ["query", "nobody", "--vector", "[1]"], "VmNotFound"],
  ["an unknown VM, stopped", ["stop", "nobody"], "VmNotFound"],
  ["an unknown VM, killed", ["kill", "nobody"], "VmNotFound"],
  ["nobody at a URL", ["query", "http://127.0.0.1:1", "--vector", "[1]"], "GuestHttp"],
])("a failure has status 1: %s", async (_, args, code) => {
  const words = await run(...args);
  expect(words).toMatchObject({ status: 1, stdout: "" });
  expect(words.stderr).toMatch(new RegExp(`^${code}: \\S`));
  const document = await run(...args, "--json");
  expect(document).toMatchObject({ status: 1, stdout: "" });
  expect(errorIn(document)).toMatchObject({ code });
});

test("logs of an unknown VM", async () =>
  expect(await run("logs", "nobody")).toEqual({
    status: 1,
    stdout: "",
    stderr: `VmNotFound: there is no VM nobody on this host\n\`microvm ls\` lists those there are, in ${join(dir, "state/vms")}.`,
  }));

test("ls without VMs", async () => {
  expect(await run("ls")).toEqual({ status: 0, stdout: `no VMs in ${join(dir, "state/vms")}`, stderr: "" });
  expect(await run("ls", "--json")).toEqual({ status: 0, stdout: "[]", stderr: "" });
});
