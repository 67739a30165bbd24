/** What `check` says of inputs before it looks at any file: types, ranges, names. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check } from "../../src/provider/check.js";
import { specKeys } from "../../src/launcher/index.js";
import { generateKeyPair } from "../../src/rvf/index.js";
import { unknownValue } from "../../src/provider/unknown.js";
import { sampleInputs } from "./samples.js";

const unknown = unknownValue;

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "microvm-shape-"));
  process.env["MICROVM_STATE_DIR"] = dir;
});
afterAll(() => rm(dir, { recursive: true }));

const { publicKey, privateKey } = generateKeyPair();

/** As the constructor sends them, before any default; on a port that nobody can have taken. */
const given = (inputs: Record<string, unknown>) => ({
  rvfPath: "./missing.rvf",
  apiPort: 0,
  owner: sampleInputs.owner,
  __provider: "text",
  ...inputs,
});

const memory = /^must be a whole number of MiB from 16 to 1048576$/;
const cpus = /^must be a whole number from 1 to 288 for x86-64 guests, for others to 512$/;
const port = /^must be a whole number from 0 to 65535$/;
const time = /^must be a number of seconds above 0, at most 3600$/;

test.each<[string, unknown, RegExp]>([
  ["rvfPath", undefined, /expected string/],
  ["rvfPath", null, /expected string/],
  ["rvfPath", "", /must not be empty/],
  ["rvfPath", 7, /expected string/],
  ["rvfPath", {}, /expected string/],
  ["memoryMb", "256", memory],
  ["memoryMb", 0, memory],
  ["memoryMb", 15, memory],
  ["memoryMb", -1, memory],
  ["memoryMb", 128.5, memory],
  ["memoryMb", 2 ** 40, memory],
  ["memoryMb", {}, memory],
  ["vcpus", 0, cpus],
  ["vcpus", 513, cpus],
  ["vcpus", "1", cpus],
  ["apiPort", -1, port],
  ["apiPort", 65_536, port],
  ["apiPort", "8080", port],
  ["sshPort", 65_536, port],
  ["sshPort", 1.5, port],
  ["enableKvm", "false", /expected boolean/],
  ["enableKvm", 0, /expected boolean/],
  ["qemuBinary", "", /must not be empty/],
  ["qemuBinary", true, /expected string/],
  ["extraArgs", "-name db", /expected array/],
  ["extraArgs", [1], /expected string/],
  ["extraArgs", [null], /expected string/],
  ["extraArgs", ["-daemonize"], /up to the launcher/],
  ["extraArgs", ["-nic", "user"], /a network besides.*\n.*allowUnsafeArgs/],
  ["allowUnsafeArgs", "true", /expected boolean/],
  ["bindAddress", "localhost", /dotted IPv4 address only/],
  ["kernel", "./bzImage", /expected "appliance"/],
  ["kernelPath", "", /must not be empty/],
  ["kernelPath", 7, /expected string/],
  ["initramfsPath", "", /must not be empty/],
  ["initramfsPath", [], /expected string/],
  ["verification", "hard", /"lenient"\|"strict"\|"signed"/],
  ["verification", "", /"lenient"\|"strict"\|"signed"/],
  ["readyTimeoutSeconds", 0, time],
  ["readyTimeoutSeconds", 3601, time],
  ["readyTimeoutSeconds", "60", time],
  ["memoryMB", 256, /there is no input memoryMB; the inputs are rvfPath, memoryMb/],
])("%s: %j is refused, and the failure names the input", async (property, value, reason) => {
  const { failures } = await check({}, given({ [property]: value }));
  expect(failures).toEqual([{ property, reason: expect.stringMatching(reason) as string }]);
});

/** The engine would print the value of the property, were it named as such. */
test.each<[string, unknown, RegExp]>([
  ["no list", privateKey, /^trustedKeys: .*expected array/],
  ["no text", [7], /^trustedKeys: item 1: .*expected string/],
  [
    "a private key",
    [publicKey, privateKey],
    /^trustedKeys: item 2: .* it is a private one\. Name the \.pub file\.$/,
  ],
  [
    "garbage",
    ["correct horse battery staple"],
    /item 1: The key is no Ed25519 public key: it is no PEM text/,
  ],
  ["damaged PEM", [publicKey.replace("MCow", "AAAA")], /its PEM text is damaged/],
  ["cut PEM", [publicKey.slice(0, 60)], /its PEM text is damaged/],
])("trustedKeys: %s is refused by name, and not repeated", async (_, trustedKeys, reason) => {
  const { inputs, failures } = await check({}, given({ trustedKeys }));
  expect(failures).toEqual([{ property: "", reason: expect.stringMatching(reason) as string }]);
  const told = JSON.stringify({ inputs, failures });
  for (const line of [trustedKeys].flat().flatMap((key) => String(key).split("\n")))
    if (line.length > 8 && !line.startsWith("-----")) expect(told).not.toContain(line);
});

test("ports that are the same are refused by name, arguments that are allowed are not", async () => {
  const { failures } = await check({}, given({ apiPort: 9000, sshPort: 9000 }));
  expect(failures).toEqual([
    { property: "sshPort", reason: expect.stringMatching(/9000 is apiPort already/) as string },
  ]);
  for (const allowUnsafeArgs of [true, unknown]) {
    const args = given({ rvfPath: unknown, extraArgs: ["-nic", "user"], allowUnsafeArgs });
    expect((await check({}, args)).failures).toEqual([]);
  }
});

test("every wrong input is told at once", async () => {
  const { failures } = await check({}, given({ memoryMb: "much", vcpus: 0, apiPort: -1, port: 80 }));
  expect(failures.map(({ property }) => property).sort()).toEqual(["apiPort", "memoryMb", "port", "vcpus"]);
});

test.each(specKeys)("%s that is not known yet passes as it is", async (key) => {
  const { inputs, failures } = await check({}, given({ rvfPath: unknown, [key]: unknown }));
  expect(failures).toEqual([]);
  expect(inputs[key]).toBe(unknown);
});

test("a list with one unknown item passes as it is", async () => {
  const extraArgs = ["-name", unknown];
  const { inputs, failures } = await check({}, given({ rvfPath: unknown, extraArgs }));
  expect(failures).toEqual([]);
  expect(inputs["extraArgs"]).toEqual(extraArgs);
});

test("null and undefined mean not given; defaults are filled in and nothing undefined is returned", async () => {
  const missing = Object.fromEntries(specKeys.map((key) => [key, key === "vcpus" ? null : undefined]));
  const { inputs } = await check({}, given({ ...missing, rvfPath: unknown, apiPort: 0 }));
  const defaults = { ...sampleInputs, rvfFingerprint: unknown };
  expect(inputs).toStrictEqual({ ...defaults, rvfPath: unknown, apiPort: 0 });
});

test("inputs without the constructor's own bring nothing undefined back", async () => {
  const { inputs, failures } = await check({}, { rvfPath: unknown, apiPort: 0 });
  expect(failures).toEqual([]);
  expect(JSON.parse(JSON.stringify(inputs))).toStrictEqual(inputs);
});
