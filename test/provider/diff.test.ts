import { changedInputs } from "../../src/provider/diff.js";
import type { Inputs, State } from "../../src/provider/inputs.js";
import { unknownValue } from "../../src/provider/unknown.js";
import { sampleInputs, sampleState } from "./samples.js";

test.each<[keyof Inputs, unknown]>([
  ["rvfPath", "./other.rvf"],
  ["memoryMb", 256],
  ["vcpus", 2],
  ["apiPort", 0],
  ["sshPort", 2222],
  ["bindAddress", "0.0.0.0"],
  ["enableKvm", false],
  ["qemuBinary", "qemu"],
  ["extraArgs", ["-name", "db"]],
  ["allowUnsafeArgs", true],
  ["kernel", "appliance"],
  ["kernelPath", "./bzImage"],
  ["initramfsPath", "./initramfs"],
  ["verification", "strict"],
  ["trustedKeys", ["ab".repeat(32)]],
  ["readyTimeoutSeconds", 90],
  ["firstOutputTimeoutSeconds", 5],
  ["shutdownTimeoutSeconds", 20],
  ["warmStart", true],
  ["updateStrategy", "stopFirst"],
  ["drainTimeoutSeconds", 1],
  ["owner", { ...sampleInputs.owner, stack: "other" }],
  ["rvfFingerprint", "2 bytes"],
  ["kernelFingerprint", "2 bytes"],
  ["initramfsFingerprint", "2 bytes"],
])("a new value of %s is a change, and so is one that is not known yet", (key, value) => {
  expect(changedInputs(sampleState, { ...sampleInputs, [key]: value })).toEqual([key]);
  expect(changedInputs(sampleState, { ...sampleInputs, [key]: unknownValue })).toEqual([key]);
});

test.each<[string, object]>([
  ["nothing", {}],
  ["an input that is null instead of missing", { sshPort: null, qemuBinary: undefined }],
  ["the provider's text, which is another after an upgrade", { __provider: "other" }],
  ["an equal list", { extraArgs: [] }],
])("no change: %s", (_, news) => {
  expect(changedInputs(sampleState, { ...sampleInputs, ...news })).toEqual([]);
});

test("a list in another order is a change", () => {
  const olds = { ...sampleState, extraArgs: ["-a", "-b"] };
  expect(changedInputs(olds, { ...sampleInputs, extraArgs: ["-b", "-a"] })).toEqual(["extraArgs"]);
});

describe("a state from before inputs existed", () => {
  const without = (...keys: (keyof Inputs)[]): State =>
    Object.fromEntries(
      Object.entries(sampleState).filter(([key]) => !keys.includes(key as keyof Inputs)),
    ) as unknown as State;
  const olds = without("verification", "trustedKeys");

  test("has their defaults: no change", () => {
    expect(changedInputs(olds, sampleInputs)).toEqual([]);
    const young = without(
      ...(["bindAddress", "allowUnsafeArgs", "firstOutputTimeoutSeconds", "shutdownTimeoutSeconds"] as const),
      ...(["updateStrategy", "drainTimeoutSeconds"] as const),
    );
    expect(changedInputs(young, sampleInputs)).toEqual([]);
    const nulls = { ...olds, verification: null, trustedKeys: null } as unknown as State;
    expect(changedInputs(nulls, sampleInputs)).toEqual([]);
  });

  test("another value is a change", () =>
    expect(changedInputs(olds, { ...sampleInputs, verification: "strict" })).toEqual(["verification"]));
});
