/** What the command says without a VM: usage, refusals, exit status. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { microvm } from "../../src/cli/program.js";
import { kernel, manifest, rvf, vec } from "../rvf/build.js";
import { errorIn, type Outcome } from "./outcome.js";

let dir: string;
let file: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "microvm-cli-"));
  process.env["MICROVM_STATE_DIR"] = join(dir, "state");
  process.env["MICROVM_CACHE_DIR"] = join(dir, "cache");
  file = join(dir, "db.rvf");
  await writeFile(file, await rvf(vec(), kernel({ cmdline: "console=hvc0" }), manifest));
});
afterAll(() => rm(dir, { recursive: true }));

/** Runs the command in this process. */
async function run(...args: string[]): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    import.meta.jest.spyOn(process[name], "write").mockImplementation((text) => {
      written[name] += String(text);
      return true;
    }),
  );
  try {
    return {
      status: await microvm(args),
      stdout: written.stdout.trimEnd(),
      stderr: written.stderr.trimEnd(),
    };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

test("help and version are no failure", async () => {
  const help = await run("--help");
  expect(help).toMatchObject({ status: 0, stderr: "" });
  for (const name of "run ls status logs query stop kill check dry-run inspect".split(" "))
    expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, "m"));
  expect(await run("--version")).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
  });
  expect(await run("run", "--help")).toMatchObject({ status: 0, stderr: "" });
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
    "'http' is invalid. It must be a whole number.",
  ],
  ["an option nobody knows", ["run", "x.rvf", "--cpus", "2"], "unknown option '--cpus'"],
  ["a vector that is no JSON array", ["query", "db", "--vector", "1,2"], "must be a JSON array of numbers"],
  ["a vector of words", ["query", "db", "--vector", '["a"]'], "must be a JSON array of numbers"],
  ["no vector", ["query", "db"], "required option '-v, --vector <json>' not specified"],
  ["an architecture nobody has", ["check", "--arch", "z80"], "x86_64, aarch64, riscv64"],
  ["a value out of range", ["run", "x.rvf", "-m", "1"], "memoryMb"],
  ["an argument of the launcher's own", ["run", "x.rvf", "--extra-args=-S"], "-S is up to the launcher"],
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
  ["a missing file", ["run", "/no/such.rvf"], "RvfNotFound"],
  ["a missing file, inspected", ["inspect", "/no/such.rvf"], "RvfNotFound"],
  ["a missing file, planned", ["dry-run", "/no/such.rvf"], "RvfNotFound"],
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
    stderr: "VmNotFound: there is no VM nobody on this host\n`microvm ls` lists those there are.",
  }));

test("ls without VMs", async () => {
  expect(await run("ls")).toEqual({ status: 0, stdout: "no VMs", stderr: "" });
  expect(await run("ls", "--json")).toEqual({ status: 0, stdout: "[]", stderr: "" });
});

test("inspect tells what an RVF holds", async () => {
  const { stdout } = await run("inspect", file);
  expect(stdout).toMatch(/^vectors: +2 of dimension 4/);
  expect(stdout).toMatch(/^kernel: +bzImage, 2048 bytes/m);
  expect(JSON.parse((await run("inspect", file, "--json")).stdout)).toMatchObject({
    dimension: 4,
    kernel: { cmdline: "console=hvc0", arch: "x86_64" },
  });
});
