import { join } from "node:path";
import { parseSpec, specKeys, withDefaults, type VmSpecInput } from "../../src/launcher/spec.js";
import { generateKeyPair } from "../../src/rvf/index.js";

test("the defaults are the seed's", () =>
  expect(parseSpec({ rvfPath: "/db.rvf" })).toEqual({
    rvfPath: "/db.rvf",
    memoryMb: 128,
    vcpus: 1,
    apiPort: 8080,
    enableKvm: true,
    extraArgs: [],
    verification: "lenient",
    trustedKeys: [],
    readyTimeoutSeconds: 60,
  }));

test("paths become absolute, a bare QEMU name is left to PATH", () => {
  const paths = { rvfPath: "a.rvf", kernelPath: "k", initramfsPath: "i", qemuBinary: "./bin/qemu" };
  expect(parseSpec(paths)).toMatchObject({
    rvfPath: join(process.cwd(), "a.rvf"),
    kernelPath: join(process.cwd(), "k"),
    initramfsPath: join(process.cwd(), "i"),
    qemuBinary: join(process.cwd(), "bin/qemu"),
  });
  expect(parseSpec({ rvfPath: "a", qemuBinary: "qemu-kvm" }).qemuBinary).toBe("qemu-kvm");
});

test("what is given as undefined counts as left out", () =>
  expect(parseSpec({ rvfPath: "/a", memoryMb: undefined, sshPort: undefined })).toMatchObject({
    memoryMb: 128,
  }));

test("a complete spec stays what it is", () => {
  const spec = parseSpec({ rvfPath: "/a", sshPort: 0, extraArgs: ["-d", "int"] });
  expect(parseSpec(spec)).toEqual(spec);
});

test("every key is known by name", () => expect(specKeys).toContain("initramfsPath"));

const bad: [key: string, value: unknown][] = [
  ["rvfPath", ""],
  ["rvfPath", undefined],
  ["rvfPath", 5],
  ["memoryMb", 15],
  ["memoryMb", 128.5],
  ["memoryMb", 1_048_577],
  ["memoryMb", NaN],
  ["memoryMb", "128"],
  ["vcpus", 0],
  ["vcpus", 289],
  ["apiPort", -1],
  ["apiPort", 65_536],
  ["sshPort", 70_000],
  ["enableKvm", "no"],
  ["qemuBinary", ""],
  ["kernelPath", ""],
  ["initramfsPath", ""],
  ["extraArgs", "-S"],
  ["verification", "hard"],
  ["verification", true],
  ["trustedKeys", "ab".repeat(32)],
  ["readyTimeoutSeconds", 0],
  ["readyTimeoutSeconds", 3601],
];

test.each(bad)("%s: %p is refused by name", (key, value) =>
  expect(() => parseSpec({ rvfPath: "/a", [key]: value })).toThrow(
    expect.objectContaining({
      code: "InvalidArgument",
      property: key,
      message: expect.stringMatching(`^${key}: .`) as string,
    }) as Error,
  ),
);

test.each(["-S", "--daemonize", "-qmp", "-pidfile", "-uuid", "-runas"])(
  "extraArgs may not take the VM out of the launcher's hands: %s",
  (arg) =>
    expect(() => parseSpec({ rvfPath: "/a", extraArgs: ["-d", arg] })).toThrow(
      expect.objectContaining({
        code: "InvalidArgument",
        property: "extraArgs.1",
        message: `extraArgs.1: ${arg} is up to the launcher and cannot be given`,
      }) as Error,
    ),
);

test("an unknown key is refused: a typing error would otherwise be a default", () =>
  expect(() => parseSpec({ rvfPath: "/a", memory: 512 } as VmSpecInput)).toThrow(/memory/));

describe("trustedKeys", () => {
  const { publicKey, privateKey } = generateKeyPair();
  const hex = "ab".repeat(32);

  test("PEM and hex digits are taken as they are", () => {
    const trustedKeys = [publicKey, hex, ` ${hex.toUpperCase()}\n`];
    expect(parseSpec({ rvfPath: "/a", trustedKeys }).trustedKeys).toEqual(trustedKeys);
  });

  test.each([
    ["a private key", privateKey, "it is a private one"],
    ["garbage", "correct horse battery staple", "it is no PEM text"],
    ["hex of another length", "ab".repeat(31), "it is no PEM text"],
    ["damaged PEM", publicKey.replace("MCow", "AAAA"), "its PEM text is damaged"],
    ["nothing", "", "it is no PEM text"],
  ])("%s is refused by its place, and not repeated", (_, key, words) => {
    const refused = (): unknown => {
      try {
        return parseSpec({ rvfPath: "/a", trustedKeys: [hex, key] });
      } catch (error) {
        return error;
      }
    };
    const error = refused();
    expect(error).toMatchObject({
      code: "InvalidArgument",
      property: "trustedKeys.1",
      message: expect.stringContaining(words) as string,
    });
    if (key !== "") expect(JSON.stringify(error) + String(error)).not.toContain(key.split("\n").at(1) ?? key);
  });
});

test("a spec from before an input existed has its default", () => {
  const spec = parseSpec({ rvfPath: "/a", memoryMb: 256, trustedKeys: [] });
  const { verification: _, trustedKeys: __, ...old } = spec;
  expect(withDefaults(old)).toEqual(spec);
  expect(withDefaults(spec)).toEqual(spec);
  expect(withDefaults({ ...old, verification: "signed" })).toEqual({ ...spec, verification: "signed" });
});
