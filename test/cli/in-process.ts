/** Runs the `microvm` command within the test's own process: quick, for what starts no VM. */
import { microvm } from "../../src/cli/program.js";
import type { Outcome } from "./outcome.js";

export async function run(...args: string[]): Promise<Outcome> {
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
