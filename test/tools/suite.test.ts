import { resolve } from "node:path";
import { jest } from "@jest/globals";
import { execa } from "execa";

// Each run starts a Node process, which takes seconds on a busy machine.
jest.setTimeout(60_000);

/** Takes an order in a process of its own, which the usage ends. */
const order = (...args: string[]) => {
  const script = `
    import { orderOf } from ${JSON.stringify(resolve("tools/suite.ts"))};
    const suite = { name: "chaos", does: "Inflicts faults.", what: "faults", count: 500 };
    console.log(JSON.stringify(orderOf(suite, ["QEMU killed", "record deleted"])));`;
  return execa(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "--eval", script, "--", ...args],
    {
      reject: false,
      env: { NODE_OPTIONS: "" },
      timeout: 30_000,
    },
  );
};

test("an order is taken, --help is its usage, and what is wrong is told as wrong usage", async () => {
  const [help, none, whole, odd, unnamed] = await Promise.all([
    order("--help"),
    order(),
    order("--faults", "3", "--seed", "7", "--only", "deleted"),
    order("--faults", "x"),
    order("--only", "cosmic ray"),
  ]);
  expect(help).toMatchObject({ exitCode: 0, stderr: "" });
  expect(help.stdout).toMatch(/^Usage: npm run chaos -- \[options\]\n\nInflicts faults\.\n/);
  expect(help.stdout).toContain("--faults <n>");
  expect(JSON.parse(none.stdout)).toEqual({ count: 500, seed: expect.any(Number) as number, only: "" });
  expect(JSON.parse(whole.stdout)).toEqual({ count: 3, seed: 7, only: "deleted" });
  expect(odd).toMatchObject({ exitCode: 2, stdout: "" });
  expect(odd.stderr).toContain("'x' is invalid. It must be a whole number.");
  expect(unnamed).toMatchObject({ exitCode: 2, stdout: "" });
  expect(unnamed.stderr).toContain("There are:\nQEMU killed\nrecord deleted");
});
