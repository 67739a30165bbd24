/** `check` in the real plugin process, on real files and ports. */
import { createServer, type AddressInfo } from "node:net";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import { specKeys } from "../../src/launcher/index.js";
import { generateKeyPair, signKernel } from "../../src/rvf/index.js";
import { makeSampleRvf } from "../../tools/sample-rvf.js";
import { kernel, manifest, rvf, vec } from "../rvf/build.js";
import { freePort } from "../support/ports.js";
import { appliancePath, sampleRvf, writeWeakRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";
import { changedInputs } from "../../src/provider/diff.js";
import type { Inputs, State } from "../../src/provider/inputs.js";
import { unknownValue } from "../../src/provider/unknown.js";
import { asSent, startPlugin, type Plugin } from "./plugin.js";

const state = privateState();
let plugin: Plugin;
let good: string;

beforeAll(async () => {
  plugin = await startPlugin();
  good = await sampleRvf();
});
afterAll(async () => await plugin[Symbol.asyncDispose]());

/** The only failure; its reason is for a person: one code, no stack. */
async function failureOf(args: object, by = plugin): Promise<{ property: string; reason: string }> {
  const { failures } = await by.check(asSent({ apiPort: 0, ...args }));
  expect(failures).toHaveLength(1);
  expect(failures[0]!.reason).toMatch(/^[A-Z]\w+: /);
  expect(failures[0]!.reason).not.toMatch(/^ +at /m);
  return failures[0]!;
}

test("good inputs come back whole, with defaults and the fingerprint of the files", async () => {
  const { inputs, failures } = await plugin.check(asSent({ rvfPath: good, memoryMb: 256, apiPort: 0 }));
  expect(failures).toEqual([]);
  expect(inputs).toStrictEqual({
    ...asSent({ rvfPath: good, memoryMb: 256, apiPort: 0 }),
    vcpus: 1,
    bindAddress: "127.0.0.1",
    enableKvm: true,
    extraArgs: [],
    allowUnsafeArgs: false,
    warmStart: false,
    verification: "lenient",
    trustedKeys: [],
    readyTimeoutSeconds: 60,
    firstOutputTimeoutSeconds: 10,
    shutdownTimeoutSeconds: 10,
    drainTimeoutSeconds: 10,
    updateStrategy: "beside",
    condition: "running",
    rvfFingerprint: expect.stringMatching(/^\d+ bytes, segments [0-9a-f]{32}$/) as string,
  });
});

test("checked inputs are checked to themselves", async () => {
  const first = await plugin.check(asSent({ rvfPath: good, apiPort: 0 }));
  expect(await plugin.check(first.inputs, first.inputs)).toEqual(first);
});

test("a fingerprint follows the content of its file, not its name", async () => {
  const [copy, grown] = [join(state.dir, "copy.rvf"), join(state.dir, "grown.rvf")];
  const bytes = await readFile(good);
  await writeFile(copy, bytes);
  await writeFile(grown, Buffer.concat([bytes, await rvf(vec(), manifest)]));
  const prints = await Promise.all(
    [good, copy, grown].map(async (rvfPath) => {
      const { inputs } = await plugin.check(asSent({ rvfPath, apiPort: 0 }));
      return inputs.rvfFingerprint;
    }),
  );
  expect(prints[1]).toBe(prints[0]);
  expect(prints[2]).not.toBe(prints[0]);
});

test("kernel and initramfs have fingerprints of their own, and one of a file that is not known yet is not known either", async () => {
  const unknown = unknownValue;
  const files = { kernelPath: appliancePath(), initramfsPath: good };
  const { inputs } = await plugin.check(asSent({ rvfPath: good, apiPort: 0, ...files }));
  expect(inputs).toMatchObject({
    kernelFingerprint: expect.stringMatching(/^\d+ bytes, sha256 /) as string,
    initramfsFingerprint: expect.stringMatching(/^\d+ bytes, sha256 /) as string,
  });
  const { initramfsPath } = files;
  const args = { rvfPath: unknown, kernelPath: unknown, initramfsPath, apiPort: 0 };
  expect((await plugin.check(asSent(args))).inputs).toMatchObject({
    ...{ rvfFingerprint: unknown, kernelFingerprint: unknown },
    initramfsFingerprint: inputs.initramfsFingerprint,
  });
});

describe("a state from before each file had a fingerprint", () => {
  const stateOf = async (rvfPath: string) => {
    const fixture = new URL("../fixtures/states/one-fingerprint.json", import.meta.url);
    const { inputs, outputs } = JSON.parse(await readFile(fixture, "utf8")) as {
      inputs: Inputs;
      outputs: State;
    };
    return { inputs: { ...inputs, rvfPath }, outputs: { ...outputs, rvfPath } };
  };

  test("is unchanged, down to its text, until the file changes", async () => {
    const rvfPath = join(state.dir, "old.rvf");
    await writeFile(rvfPath, await rvf(vec(), kernel(), manifest));
    const { inputs: olds, outputs } = await stateOf(rvfPath);
    const program = asSent({ rvfPath, apiPort: 0 });
    const { inputs, failures } = await plugin.check(program, olds);
    expect(failures).toEqual([]);
    expect(inputs).toMatchObject(olds);
    for (const key of ["rvfFingerprint", "condition"]) expect(inputs).not.toHaveProperty(key);
    expect(changedInputs(outputs, inputs)).toEqual([]);

    await writeFile(rvfPath, await rvf(vec(), kernel(), manifest, vec(), manifest));
    const changed = (await plugin.check(program, olds)).inputs;
    expect(changedInputs(outputs, changed)).toEqual(["rvfFingerprint", "contentFingerprint"]);
  });
});

/** Makes a bad file at the path. */
const badFiles: [string, string, (path: string) => Promise<unknown>][] = [
  ["missing", "FileNotFound", () => Promise.resolve()],
  ["a directory", "RvfInvalid", (path) => mkdir(path)],
  ["empty", "RvfInvalid", (path) => writeFile(path, "")],
  ["not an RVF", "RvfInvalid", (path) => writeFile(path, "no vectors here\n".repeat(1000))],
  ["a store without a kernel", "NoKernelSegment", (path) => makeSampleRvf(path, { count: 10 })],
  ["an image that no machine boots", "KernelUnsupported", unbootable],
  [
    "cut short",
    "RvfInvalid",
    async (path) => {
      await writeFile(path, await readFile(good));
      await using file = await open(path, "r+");
      await file.truncate(1_000_000);
    },
  ],
];

async function unbootable(path: string): Promise<void> {
  await writeFile(path, await rvf(vec(), kernel({ image: Buffer.alloc(4096, "no kernel") }), manifest));
}

test.each(badFiles)("an RVF that is %s is %s, said of rvfPath", async (name, code, make) => {
  const rvfPath = join(state.dir, `${name.replaceAll(" ", "-")}.rvf`);
  await make(rvfPath);
  const { property, reason } = await failureOf({ rvfPath });
  expect(property).toBe("rvfPath");
  expect(reason).toMatch(new RegExp(`^${code}: `));
});

test("more CPUs than QEMU's machine for the kernel takes", async () => {
  const { property, reason } = await failureOf({ rvfPath: good, vcpus: 300 });
  expect(property).toBe("vcpus");
  expect(reason).toMatch(/^InvalidArgument: vcpus is 300, QEMU's machine for x86_64 takes at most 288/);
});

test("memory below what the kernel asks for", async () => {
  const rvfPath = join(state.dir, "big.rvf");
  const header = (bytes: Buffer) => bytes.writeUInt32LE(512, 0x0c);
  await writeFile(rvfPath, await rvf(vec(), kernel({ header }), manifest));
  const { property, reason } = await failureOf({ rvfPath, memoryMb: 256 });
  expect(property).toBe("memoryMb");
  expect(reason).toMatch(
    /^MemoryTooSmall: the kernel asks for 512 MiB, memoryMb is 256\nSet memoryMb to 512/,
  );
  expect((await plugin.check(asSent({ rvfPath, apiPort: 0, memoryMb: 512 }))).failures).toEqual([]);
});

describe("verification", () => {
  const { publicKey, privateKey } = generateKeyPair();
  const stranger = generateKeyPair().publicKey;
  let rvfPath: string;
  beforeAll(async () => {
    rvfPath = join(state.dir, "signed.rvf");
    await signKernel(good, { privateKey, out: rvfPath });
  });

  test("strict: a kernel whose image hash is a fold is refused", async () => {
    const weak = join(state.dir, "weak.rvf");
    await writeWeakRvf(weak);
    const check = async (rvfPath: string) =>
      (await plugin.check(asSent({ rvfPath, apiPort: 0, verification: "strict" }))).failures;
    expect(await check(good)).toEqual([]);
    expect(await check(weak)).toEqual([
      {
        property: "rvfPath",
        reason: expect.stringMatching(/^KernelUntrusted: .* verification is "strict": .* fold/) as string,
      },
    ]);
  });

  test("signed: by a trusted key, or not at all", async () => {
    const checked = async (...trustedKeys: string[]) =>
      await plugin.check(asSent({ rvfPath, apiPort: 0, verification: "signed", trustedKeys }));
    const { inputs, failures } = await checked(stranger, publicKey);
    expect(failures).toEqual([]);
    expect(inputs).toMatchObject({ verification: "signed", trustedKeys: [stranger, publicKey] });
    for (const keys of [[stranger], []])
      expect((await checked(...keys)).failures).toEqual([
        {
          property: "rvfPath",
          reason: expect.stringMatching(/^KernelUntrusted: .*\nName the signer's public key/) as string,
        },
      ]);
    expect(await failureOf({ rvfPath: good, verification: "signed", trustedKeys: [publicKey] })).toEqual({
      property: "rvfPath",
      reason: expect.stringMatching(
        /^KernelUntrusted: .* carries no signature\.\n`microvm sign` makes/,
      ) as string,
    });
  });

  test.each(["strict", "signed"])("%s: a kernel of the user's own carries nothing to verify", async (how) => {
    const kernelPath = appliancePath();
    expect(await failureOf({ rvfPath, kernelPath, verification: how, trustedKeys: [publicKey] })).toEqual({
      property: "kernelPath",
      reason: expect.stringMatching(/^KernelUntrusted: .*kernelPath carries nothing to verify/) as string,
    });
  });
});

describe("memory that this host has not", () => {
  const mib = 1 << 20;

  test.each([
    ["at all", 1_048_576, () => `this host has ${Math.floor(totalmem() / mib)} MiB in all`],
    ["free", Math.floor(totalmem() / mib) - 100, () => "MiB are free"],
  ])("%s is said of memoryMb, with both numbers", async (_, memoryMb, words) => {
    const { property, reason } = await failureOf({ rvfPath: good, memoryMb });
    expect(property).toBe("memoryMb");
    expect(reason).toContain(`HostMemoryTooSmall: a VM with memoryMb ${memoryMb} takes up to`);
    expect(reason).toContain(words());
    expect(reason).toMatch(/\d+ MiB (in all|are free)\n.*memoryMb/);
  });
});

describe("two MicroVms of one program", () => {
  const wanting = async (plugin: Plugin, resource: string, args: object) =>
    (await plugin.check(asSent({ rvfPath: good, apiPort: 0, ...args }, resource))).failures;

  test("that want one port are told, whichever input says so, and each may be checked twice", async () => {
    await using own = await startPlugin();
    const port = await freePort();
    for (let i = 0; i < 2; i++) expect(await wanting(own, "a", { apiPort: port })).toEqual([]);
    const b = "urn:pulumi:stack::project::type::b";
    expect(await wanting(own, b, { sshPort: port })).toEqual([
      {
        property: "sshPort",
        reason:
          `PortInUse: port ${port} is wanted by two MicroVms of this program, a and b\n` +
          "Give one of them another sshPort, where 0 takes a free one.",
      },
    ]);
    // Another address has ports of its own, and whoever wants another port gives its former one up.
    expect(await wanting(own, "c", { apiPort: port, bindAddress: "127.0.0.2" })).toEqual([]);
    for (const resource of ["a", b]) expect(await wanting(own, resource, { apiPort: 0 })).toEqual([]);
    expect(await wanting(own, "d", { apiPort: port })).toEqual([]);
  });

  test("that have more memory together than is free are warned of once, and pass", async () => {
    await using own = await startPlugin();
    const memoryMb = Math.floor((freemem() / (1 << 20)) * 0.6);
    for (const resource of ["a", "b", "c"]) expect(await wanting(own, resource, { memoryMb })).toEqual([]);
    expect(own.output()).toMatch(
      /^warning: a and b take up to \d+ MiB with their QEMUs, and \d+ MiB are free: .*$/,
    );
  });

  test("that leave their port to the system, or do not know it yet, want none", async () => {
    await using own = await startPlugin();
    for (const apiPort of [0, unknownValue])
      for (const resource of ["a", "b"]) expect(await wanting(own, resource, { apiPort })).toEqual([]);
  });
});

test.each(["apiPort", "sshPort"])("a taken port is said of %s, with the process that has it", async (key) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const { property, reason } = await failureOf({ rvfPath: good, [key]: port });
    expect(property).toBe(key);
    expect(reason).toContain(`PortInUse: port ${port} on 127.0.0.1 is taken by pid ${process.pid}`);
    expect(reason).toContain(`another ${key}, where 0 takes a free one`);
  } finally {
    server.close();
  }
});

test("the value of a secret input stands in no failure", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const wrong = { apiPort: port, memoryMb: "hunter2", secretInputs: ["apiPort", "memoryMb", "extraArgs"] };
    const told = async (args: object) =>
      (await plugin.check(asSent({ rvfPath: good, ...wrong, ...args }))).failures;
    expect(await told({})).toEqual([
      { property: "", reason: expect.stringMatching(/^memoryMb: (?!.*hunter2)/) as string },
    ]);
    expect(await told({ memoryMb: null })).toEqual([
      { property: "", reason: expect.stringMatching(/^apiPort: PortInUse: port \[secret\] on /) as string },
    ]);
    const [{ property, reason } = { property: "none", reason: "" }] = await told({
      ...{ memoryMb: null, apiPort: 0, extraArgs: ["-no-such-option", "swordfish"] },
    });
    expect([property, reason.startsWith("extraArgs: "), reason.includes("swordfish")]).toEqual([
      "",
      true,
      false,
    ]);
  } finally {
    server.close();
  }
});

test.each<[string, object, string]>([
  ["kernelPath", { kernelPath: "/missing/bzImage" }, "FileNotFound"],
  ["initramfsPath", { initramfsPath: "/missing/initramfs" }, "FileNotFound"],
  ["qemuBinary", { qemuBinary: "/missing/qemu" }, "QemuNotFound"],
  ["qemuBinary", { qemuBinary: "qemu-that-nobody-has" }, "QemuNotFound"],
])("%s that is missing: %j", async (key, args, code) => {
  const { property, reason } = await failureOf({ rvfPath: good, ...args });
  expect(property).toBe(key);
  expect(reason).toMatch(new RegExp(`^${code}: `));
});

test("a QEMU that is not on PATH is told with the line that installs it", async () => {
  await using bare = await startPlugin({ env: { PATH: state.dir } });
  const failure = await failureOf({ rvfPath: good, qemuBinary: "qemu-system-x86_64" }, bare);
  expect(failure).toEqual({
    property: "qemuBinary",
    reason: expect.stringMatching(/^QemuNotFound: .* was not found in .*\nInstall QEMU: /) as string,
  });
});

test("several faults of files and ports are all told", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const { failures } = await plugin.check(asSent({ rvfPath: "/missing.rvf", apiPort: port }));
    expect(failures.map(({ property }) => property)).toEqual(["rvfPath", "apiPort"]);
  } finally {
    server.close();
  }
});

test.each<string>(specKeys)("%s not known yet passes beside known ones", async (key) => {
  const unknown = unknownValue;
  const { inputs, failures } = await plugin.check(asSent({ rvfPath: good, apiPort: 0, [key]: unknown }));
  expect(failures).toEqual([]);
  expect(inputs).toMatchObject({ [key]: unknown });
});

test("check changes nothing on this host", async () => {
  await plugin.check(asSent({ rvfPath: good, apiPort: 0 }));
  expect(await leftovers()).toEqual([]);
  expect(plugin.output()).toBe("");
});
