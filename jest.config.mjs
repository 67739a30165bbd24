/** Three projects by what a test needs: nothing (unit), QEMU and the guest (integration), the real Pulumi CLI too (e2e). */
const common = {
  testEnvironment: "node",
  // Libraries keep their exit handlers in a global that every copy shares; Jest's guards on it end in endless recursion.
  testEnvironmentOptions: { globalsCleanup: "off" },
  extensionsToTreatAsEsm: [".ts"],
  moduleNameMapper: { "^(\\.{1,2}/.*)\\.js$": "$1" },
  // Types are checked once by `npm run lint`; here they would only cost time.
  transform: { "^.+\\.ts$": ["ts-jest", { useESM: true, diagnostics: false, tsconfig: "tsconfig.json" }] },
  modulePathIgnorePatterns: ["<rootDir>/dist", "<rootDir>/.cache"],
  testPathIgnorePatterns: ["/node_modules/", "/fixtures/"],
};

/** @type {import("jest").Config} */
export default {
  // Tests of VMs mostly wait. Jest's own choice, one worker less than processors, leaves half of a small machine idle.
  maxWorkers: "100%",
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
