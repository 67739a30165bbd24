import { join } from "node:path";
import { parseSpec, specKeys, type VmSpecInput } from "../../src/launcher/spec.js";

test("the defaults are the seed's", () =>
  expect(parseSpec({ rvfPath: "/db.rvf" })).toEqual({
    rvfPath: "/db.rvf",
    memoryMb: 128,
    vcpus: 1,
    apiPort: 8080,
    enableKvm: true,
    extraArgs: [],
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
