import * as pulumi from "@pulumi/pulumi";
import { isUnknown } from "../../src/provider/unknown.js";

const unknown = pulumi.runtime.unknownValue;

test.each<[string, unknown, boolean]>([
  ["the sentinel itself", unknown, true],
  ["a list with it", ["-name", unknown], true],
  ["an object with it, deep inside", { a: [{ b: unknown }] }, true],
  ["an empty list", [], false],
  ["null", null, false],
  ["nothing", undefined, false],
  ["zero", 0, false],
  ["a word", "known", false],
])("unknown or not: %s", (_, value, expected) => {
  expect(isUnknown(value)).toBe(expected);
});
