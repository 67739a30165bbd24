import { atLeast, versionIn } from "../../../tools/setup/version.js";

test.each([
  ["rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)", "1.96.0"],
  ["go1.19.8", "1.19.8"],
  ["v3.200.0", "3.200.0"],
  ["QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)", "7.2.22"],
  ["no number 5", undefined],
  [undefined, undefined],
])("versionIn(%j) is %j", (text, version) => {
  expect(versionIn(text)).toBe(version);
});

test.each([
  ["1.87.0", "1.87", true],
  ["1.87", "1.87.0", true],
  ["1.100.0", "1.87", true],
  ["1.86.9", "1.87", false],
  ["2.0", "1.87.5", true],
  ["1.23", "1.23.11", false],
  ["10.0.2", "7.2", true],
])("%s is at least %s: %s", (version, wanted, answer) => {
  expect(atLeast(version, wanted)).toBe(answer);
});
