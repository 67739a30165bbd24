import { resolve } from "node:path";
import { jest } from "@jest/globals";
import { execa } from "execa";

// Each test starts Node processes, which take seconds on a busy machine.
jest.setTimeout(60_000);

/** Runs steps in a process of its own, as a log would show them. */
const show = async (steps: string) => {
  const script = `
    import { main, runSteps } from ${JSON.stringify(resolve("tools/steps.ts"))};
    import { SetupError } from ${JSON.stringify(resolve("tools/setup/error.ts"))};
    await main(async () => await runSteps([${steps}]));`;
  const tsx = [process.execPath, ["--import", "tsx", "--input-type=module", "--eval", script]] as const;
  return await execa(...tsx, { reject: false, env: { NODE_OPTIONS: "" }, timeout: 30_000 });
};

test("shows what each step came to", async () => {
  const { exitCode, stdout } = await show(`{ title: "QEMU", run: async () => "found 7.2" }`);
  expect(stdout).toContain("QEMU: found 7.2");
  expect(exitCode).toBe(0);
});

test("the other steps run when one fails; the end tells what failed and what to do", async () => {
  const { exitCode, stdout, stderr } = await show(`
    { title: "Broken", run: async () => { throw new SetupError("It broke.", { hint: "Type: mend", evidence: "crack" }) } },
    { title: "Other", run: async () => "done" }`);
  expect(stdout).toContain("Other: done");
  expect(stderr).toContain("Broken: It broke.\n  | crack\nType: mend");
  expect(exitCode).toBe(1);
});
