/** No text of a user, a path or an RVF becomes another argument of QEMU, or another option within one. */
import { join, resolve } from "node:path";
import { planQemu } from "../../src/launcher/plan/plan.js";
import { generationFiles } from "../../src/launcher/record/vm-folder.js";
import { parseSpec, type VmSpecInput } from "../../src/launcher/spec.js";

beforeAll(() => (process.env["MICROVM_STATE_DIR"] = "/s"));

const nasty = [
  "-S",
  "--daemonize",
  "-x.rvf",
  "a,readonly=off",
  "a,,readonly=off",
  ",",
  "a=b",
  "a:b",
  `single ' double " back \\ tick \``,
  "line\nbreak\r\n-S",
  "tab\tand space ",
  "$(id) ${HOME} | ; &",
  "%s%n",
  '"},{"driver":"file',
  "\u001b[31m",
  "ä☃𝄞",
];

const argvOf = (
  input: Partial<VmSpecInput>,
  { cmdline = "", qmpSocket = "/s/1.sock", controlSocket = "/s/1c.sock", guestSocket = "/s/1g.sock" } = {},
): string[] => {
  const spec = parseSpec({ rvfPath: "/db.rvf", ...input });
  return planQemu({
    spec,
    kernel: {
      kernelPath: spec.kernelPath ?? "/kernel",
      initramfsPath: spec.initramfsPath ?? "/initramfs",
      arch: "x86_64",
      cmdline,
      guestApiPort: 8080,
    },
    qemu: {
      binary: spec.qemuBinary ?? "/qemu",
      version: "7.2.22",
      machines: ["microvm"],
      accelerators: ["tcg", "kvm"],
      sandbox: true,
      pvpanic: true,
    },
    accelerator: "tcg",
    vmId: "db-0000abcd",
    uuid: "11111111-2222-4333-8444-555555555555",
    nonce: "n0",
    files: generationFiles("db-0000abcd", 1),
    qmpSocket,
    controlSocket,
    guestSocket,
  }).argv;
};

/** The word behind an option, of which there has to be one. */
function valueOf(argv: string[], option: string): string {
  expect(argv.filter((word) => word === option)).toHaveLength(1);
  return argv[argv.indexOf(option) + 1]!;
}

/** Stands in a command line where a nasty text does in another. */
const plain = "/somewhere/plain";

describe.each(nasty)("%j", (text) => {
  test.each(["rvfPath", "kernelPath", "initramfsPath", "qemuBinary"] as const)("as %s", (key) => {
    // A QEMU that is named without a slash is looked up on PATH, which makes a path of it.
    const path = key === "qemuBinary" ? `./${text}` : text;
    const inJson = JSON.stringify(resolve(path)).slice(1, -1);
    const there = argvOf({ [key]: plain });
    expect(there.join()).toContain(plain);
    expect(argvOf({ [key]: path })).toEqual(
      there.map((word) => (word === plain ? resolve(path) : word.replace(plain, () => inJson))),
    );
  });

  test("as rvfPath it is one value of the disk", () =>
    expect(JSON.parse(valueOf(argvOf({ rvfPath: text }), "-blockdev"))).toEqual({
      driver: "raw",
      "node-name": "rvf",
      "read-only": true,
      file: { driver: "file", filename: resolve(text) },
    }));

  test("as the value of an extra argument", () => {
    const extraArgs = ["-smbios", `type=11,value=${text.replaceAll(",", ",,")}`];
    expect(argvOf({ extraArgs }).slice(-2)).toEqual(extraArgs);
  });

  test("as an extra argument it is refused", () =>
    expect(() => argvOf({ extraArgs: [text] })).toThrow(
      expect.objectContaining({
        code: "InvalidArgument",
        message: expect.stringContaining(text) as string,
      }) as Error,
    ));

  test("as bindAddress it is refused", () =>
    expect(() => argvOf({ bindAddress: text })).toThrow(
      expect.objectContaining({ code: "InvalidArgument", property: "bindAddress" }) as Error,
    ));

  test("in the RVF's own command line it stays in the kernel's", () => {
    const words = text.split(/\s+/).filter(Boolean).join(" ");
    const argv = argvOf({}, { cmdline: text });
    const append = valueOf(argv, "-append");
    expect(append).toContain(` ${words} `);
    const other = argvOf({}).map((word, i, all) => (all[i - 1] === "-append" ? append : word));
    expect(argv).toEqual(other);
  });

  test("in MICROVM_STATE_DIR, and in TMPDIR where the sockets may lie", () => {
    try {
      process.env["MICROVM_STATE_DIR"] = join("/", text);
      const files = generationFiles("db-0000abcd", 1);
      expect(files.dir).toContain(text);
      const qmpSocket = join("/", text, "1.sock");
      const controlSocket = join("/", text, "1c.sock");
      const guestSocket = join("/", text, "1g.sock");
      const argv = argvOf({}, { qmpSocket, controlSocket, guestSocket });
      expect(argv).toHaveLength(argvOf({}).length);
      expect(valueOf(argv, "-pidfile")).toBe(files.pidFile);
      // This one takes commas as they are.
      expect(valueOf(argv, "-serial")).toBe(`file:${files.consolePipe}`);
      const doubled = (path: string) => path.replaceAll(",", ",,");
      expect(argv.filter((_, at) => argv[at - 1] === "-chardev")).toEqual([
        `file,id=ready,path=${doubled(files.readyPipe)}`,
        `socket,id=ctl,path=${doubled(guestSocket)},server=on,wait=off`,
      ]);
      const monitors = [controlSocket, qmpSocket].map((path) => `unix:${doubled(path)},server=on,wait=off`);
      expect(argv.filter((_, at) => argv[at - 1] === "-qmp")).toEqual(monitors);
    } finally {
      process.env["MICROVM_STATE_DIR"] = "/s";
    }
  });
});

test.each(["rvfPath", "kernelPath", "initramfsPath", "qemuBinary", "bindAddress", "extraArgs"])(
  "%s: a NUL, and nothing at all, are refused by name",
  (key) => {
    for (const text of ["", "a\0b"])
      expect(() => argvOf({ [key]: key === "extraArgs" ? [text] : text })).toThrow(
        expect.objectContaining({
          code: "InvalidArgument",
          property: expect.stringMatching(`^${key}`) as string,
        }) as Error,
      );
  },
);
