import { parseSpec, specKeys, type VmSpec } from "../../../src/launcher/spec.js";
import { effectsBetween, updateEffects } from "../../../src/launcher/change/update-effects.js";

const spec = parseSpec({ rvfPath: "/a.rvf" });

test.each<[string, Partial<VmSpec>, string[]]>([
  ["nothing", {}, []],
  ["a deadline", { drainTimeoutSeconds: 1 }, ["none"]],
  ["a port", { sshPort: 0 }, ["ports"]],
  ["memory", { memoryMb: 256 }, ["boot"]],
  ["one of each", { readyTimeoutSeconds: 1, apiPort: 0, vcpus: 2 }, ["boot", "none", "ports"]],
])("%s", (_, change, effects) => {
  expect([...effectsBetween(spec, { ...spec, ...change })].sort()).toEqual(effects);
});

test("a spec from before an input existed had its default", () => {
  const { updateStrategy: _, drainTimeoutSeconds: __, trustedKeys: ___, ...older } = spec;
  expect(effectsBetween(older, spec)).toEqual(new Set());
});

test("every input has its effect", () => {
  expect(Object.keys(updateEffects).sort()).toEqual([...specKeys].sort());
});
