import { jest } from "@jest/globals";
import { execa } from "execa";

// Each test starts Node processes, which take seconds on a busy machine.
jest.setTimeout(60_000);

const appliance = async (...args: string[]) =>
  await execa(process.execPath, ["--import", "tsx", "tools/appliance.ts", ...args], {
    reject: false,
    env: { NODE_OPTIONS: "" },
    timeout: 30_000,
  });

test("--help tells the options", async () => {
  const { exitCode, stdout } = await appliance("--help");
  expect(stdout).toContain("--out <file>");
  expect(stdout).toContain("--kernel <kind>");
  expect(exitCode).toBe(0);
});

test.each([
  [[], "--out <file>"],
  [["--out"], "argument missing"],
  [["--out", "/no/such/folder/image"], "There is no folder /no/such/folder."],
  [["--out", "/tmp"], "It is a folder."],
  [["--out", "/tmp/image", "--huge"], "unknown option"],
  [["--out", "/tmp/image", "--kernel", "linux"], "Allowed choices are micro, debian."],
  [["--out", "/tmp/image", "--arch", "riscv64"], "Allowed choices are x86_64, aarch64."],
  [["--out", "/tmp/image", "--arch", "aarch64", "--kernel", "debian"], "for aarch64 with Debian's kernel"],
  [["--out", "/tmp/image", "more"], "too many arguments"],
])("%j is wrong usage, told before anything is built", async (args, words) => {
  const { exitCode, stderr } = await appliance(...args);
  expect(stderr).toContain(words);
  expect(exitCode).toBe(2);
});
