import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, run, which } from "../../../tools/setup/command.js";
import { describe as tell, SetupError } from "../../../tools/setup/error.js";

const lines: string[] = [];
const report = (line: string) => void lines.push(line);
const sh = async (script: string, input?: string) =>
  await run("sh", ["-c", script], { report, ...(input !== undefined && { input }) });

beforeEach(() => void lines.splice(0));

describe("run", () => {
  test("reports each line of both streams, without colours and overwritten progress", async () => {
    await sh(`printf 'one\\n\\033[31mtwo\\033[0m\\n'; printf 'at 1%%\\rat 99%%\\n' >&2; echo`);
    expect(lines.sort()).toEqual(["at 99%", "one", "two"]);
  });

  test("a failure tells the command, how it ended and its last 20 lines", async () => {
    const error = await sh("seq 1 100; exit 3").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(SetupError);
    expect((error as Error).message).toBe("sh -c seq 1 100; exit 3 failed: exit status 3");
    expect(tell(error).split("\n")).toEqual([
      expect.any(String),
      ...range(81, 100).map((line) => `  | ${line}`),
    ]);
  });

  test("a program that is not there, and one ended by a signal", async () => {
    await expect(run("/no/such/program", [], { report })).rejects.toThrow("/no/such/program failed: ENOENT");
    await expect(sh("kill -9 $$")).rejects.toThrow("failed: SIGKILL");
  });

  test("gives the input, else none", async () => {
    await sh("cat", "asked for\n");
    await sh("cat; echo end");
    expect(lines).toEqual(["asked for", "end"]);
  });
});

test("ask: what is printed, or undefined", async () => {
  expect(await ask("sh", ["-c", "echo $A"], { A: "answer" })).toBe("answer");
  expect(await ask("sh", ["-c", "echo half; exit 1"])).toBeUndefined();
  expect(await ask("/no/such/program", [])).toBeUndefined();
});

test("which: executable files only, PATH before other folders", async () => {
  const folder = await mkdtemp(join(tmpdir(), "microvm-which-"));
  try {
    await writeFile(join(folder, "sh"), "");
    await writeFile(join(folder, "not-executable"), "");
    await writeFile(join(folder, "executable"), "");
    await chmod(join(folder, "sh"), 0o755);
    await chmod(join(folder, "executable"), 0o755);
    expect(await which("executable", [folder])).toBe(join(folder, "executable"));
    expect(await which("not-executable", [folder])).toBeUndefined();
    expect(await which("sh", [folder])).not.toBe(join(folder, "sh"));
    expect(await which("", [folder])).toBeUndefined();
  } finally {
    await rm(folder, { recursive: true });
  }
});

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
