import { join } from "node:path";
import { conflictsIn, parseSpec, specKeys, withDefaults, type VmSpecInput } from "../../src/launcher/spec.js";
import { generateKeyPair } from "../../src/rvf/index.js";

test("the defaults are the seed's", () =>
  expect(parseSpec({ rvfPath: "/db.rvf" })).toEqual({
    rvfPath: "/db.rvf",
    memoryMb: 128,
    vcpus: 1,
    apiPort: 8080,
    bindAddress: "127.0.0.1",
    enableKvm: true,
    extraArgs: [],
    allowUnsafeArgs: false,
    verification: "lenient",
    trustedKeys: [],
    readyTimeoutSeconds: 60,
    firstOutputTimeoutSeconds: 10,
    shutdownTimeoutSeconds: 10,
    warmStart: false,
    updateStrategy: "beside",
    drainTimeoutSeconds: 10,
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
  ["vcpus", 513],
  ["apiPort", -1],
  ["apiPort", 65_536],
  ["sshPort", 70_000],
  ["bindAddress", ""],
  ["bindAddress", "localhost"],
  ["bindAddress", "::1"],
  ["bindAddress", "127.1"],
  ["bindAddress", "127.0.0.1\n"],
  ["bindAddress", "127.0.0.1,guestfwd=tcp:10.0.2.9:80-cmd:id"],
  ["bindAddress", "224.0.0.1"],
  ["bindAddress", 2130706433],
  ["enableKvm", "no"],
  ["qemuBinary", ""],
  ["kernelPath", ""],
  ["initramfsPath", ""],
  ["rvfPath", "a\0b"],
  ["qemuBinary", "qemu\0"],
  ["kernelPath", "\0"],
  ["initramfsPath", "a\0"],
  ["extraArgs", "-S"],
  ["allowUnsafeArgs", "yes"],
  ["verification", "hard"],
  ["verification", true],
  ["trustedKeys", "ab".repeat(32)],
  ["readyTimeoutSeconds", 0],
  ["readyTimeoutSeconds", 3601],
  ["firstOutputTimeoutSeconds", 0],
  ["firstOutputTimeoutSeconds", "10"],
  ["shutdownTimeoutSeconds", -1],
  ["shutdownTimeoutSeconds", 3601],
  ["updateStrategy", "stopfirst"],
  ["drainTimeoutSeconds", 0],
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

test.each(["", "a\0b"])("an item of extraArgs is refused by its place: %j", (arg) =>
  expect(() => parseSpec({ rvfPath: "/a", extraArgs: ["-name", arg] })).toThrow(
    expect.objectContaining({ code: "InvalidArgument", property: "extraArgs.1" }) as Error,
  ),
);

describe("inputs that are wrong together", () => {
  test("one port for two forwards", () => {
    expect(() => parseSpec({ rvfPath: "/a", sshPort: 8080 })).toThrow(
      expect.objectContaining({
        code: "InvalidArgument",
        property: "sshPort",
        message: "sshPort: 8080 is apiPort already",
      }) as Error,
    );
    expect(parseSpec({ rvfPath: "/a", apiPort: 0, sshPort: 0 })).toMatchObject({ apiPort: 0, sshPort: 0 });
  });

  const opening = ["-name", "db", "-netdev", "user,id=n1"];

  test("arguments that undo the isolation, unless they may", () => {
    expect(() => parseSpec({ rvfPath: "/a", extraArgs: opening })).toThrow(
      expect.objectContaining({
        code: "InvalidArgument",
        property: "extraArgs",
        message: "extraArgs: -netdev user,id=n1 would give the guest a network besides its restricted one",
        hint: expect.stringContaining("set allowUnsafeArgs") as string,
      }) as Error,
    );
    const spec = { rvfPath: "/a", extraArgs: opening, allowUnsafeArgs: true };
    expect(parseSpec(spec)).toMatchObject({ extraArgs: opening });
    expect(() => parseSpec({ ...spec, extraArgs: ["--qmp", "stdio"] })).toThrow(/is up to the launcher/);
  });

  test("all of them are told, and nothing of inputs that are not known yet", () => {
    expect(conflictsIn({ apiPort: 1, sshPort: 1, extraArgs: opening, allowUnsafeArgs: false })).toHaveLength(
      2,
    );
    expect(conflictsIn({ sshPort: 1, extraArgs: opening })).toEqual([]);
    expect(conflictsIn({})).toEqual([]);
    expect(conflictsIn({ kernel: "appliance", kernelPath: "/k" })).toMatchObject([{ property: "kernel" }]);
    expect(conflictsIn({ warmStart: true, extraArgs: ["-S"] })).toMatchObject([{ property: "warmStart" }]);
    expect(conflictsIn({ warmStart: false, extraArgs: ["-S"] })).toEqual([]);
  });
});

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
  const { bindAddress: _1, allowUnsafeArgs: _2, firstOutputTimeoutSeconds: _3, ...older } = old;
  const { shutdownTimeoutSeconds: _4, ...oldest } = older;
  expect(withDefaults(oldest)).toEqual(spec);
  expect(withDefaults(spec)).toEqual(spec);
  expect(withDefaults({ ...old, verification: "signed" })).toEqual({ ...spec, verification: "signed" });
});
