/** Runs Jest on ES modules and reads its result. */
import { mkdir, readFile, rm } from "node:fs/promises";
import { execa } from "execa";
import { fromRepository } from "./setup/repository.js";

/** Jest loads ES modules only with the first; the second keeps Node from announcing it in every worker. */
const moduleOptions = "--experimental-vm-modules --disable-warning=ExperimentalWarning";

export interface TestCounts {
  passed: number;
  failed: number;
  /** Jest's own verdict: also false when a test file could not be loaded. */
  success: boolean;
}

/** Runs Jest with `args` and prints its output; `env` is added to the environment. */
export async function runJest(args: string[], env: Record<string, string> = {}): Promise<TestCounts> {
  const resultFile = fromRepository(`.cache/jest-${process.pid}.json`);
  await mkdir(fromRepository(".cache"), { recursive: true });
  try {
    const jest = fromRepository("node_modules/jest/bin/jest.js");
    const { exitCode } = await execa(
      process.execPath,
      [jest, "--json", `--outputFile=${resultFile}`, ...args],
      {
        cwd: fromRepository(),
        env: { ...env, NODE_OPTIONS: `${process.env["NODE_OPTIONS"] ?? ""} ${moduleOptions}` },
        stdio: "inherit",
        reject: false,
      },
    );
    return { ...(await countsIn(resultFile)), success: exitCode === 0 };
  } finally {
    await rm(resultFile, { force: true });
  }
}

/** No result file: Jest stopped before it ran a test. */
async function countsIn(resultFile: string): Promise<{ passed: number; failed: number }> {
  const text = await readFile(resultFile, "utf8").catch(() => "{}");
  const { numPassedTests = 0, numFailedTests = 0 } = JSON.parse(text) as Record<string, number>;
  return { passed: numPassedTests, failed: numFailedTests };
}
