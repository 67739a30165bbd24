import { availableParallelism } from "node:os";

/** Three projects by what a test needs: nothing (unit), QEMU and the guest (integration), the real Pulumi CLI too (e2e). */
const common = {
  testEnvironment: "node",
  // Libraries keep their exit handlers in a global that every copy shares; Jest's guards on it end in endless recursion.
  testEnvironmentOptions: { globalsCleanup: "off" },
  extensionsToTreatAsEsm: [".ts"],
  moduleNameMapper: { "^(\\.{1,2}/.*)\\.js$": "$1" },
  transform: { "^.+\\.ts$": "<rootDir>/tools/jest-transform.mjs" },
  modulePathIgnorePatterns: ["<rootDir>/dist", "<rootDir>/.cache"],
  testPathIgnorePatterns: ["/node_modules/", "/fixtures/"],
};

/** @type {import("jest").Config} */
export default {
  // Tests of VMs wait for much of their time, in which a worker more has the processor. Jest's own choice is one less than there are.
  maxWorkers: Math.ceil(availableParallelism() * 1.5),
  testSequencer: "<rootDir>/tools/jest-sequencer.mjs",
  // A bound for what hangs, not a measure: Jest's own 5 seconds are short for a test of one second on a busy machine.
  testTimeout: 30_000,
  projects: [
    {
      ...common,
      displayName: "unit",
      testMatch: ["<rootDir>/test/**/*.test.ts"],
      testPathIgnorePatterns: [
        ...common.testPathIgnorePatterns,
        "\\.integration\\.test\\.ts$",
        "\\.e2e\\.test\\.ts$",
      ],
    },
    { ...common, displayName: "integration", testMatch: ["<rootDir>/test/**/*.integration.test.ts"] },
    { ...common, displayName: "e2e", testMatch: ["<rootDir>/test/**/*.e2e.test.ts"] },
  ],
};
