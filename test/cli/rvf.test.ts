/** The commands that read an RVF and start nothing: inspect, verify, extract. */
import * as fs from "node:fs";
import { join } from "node:path";
import {
  embedKernel,
  generateKeyPair,
  signKernel,
  type RvfReport,
  type VerifyReport,
} from "../../src/rvf/index.js";
import { bzImage, kernel, manifest, rvf, scratch, vec } from "../rvf/build.js";
import { forged } from "../support/forge.js";
import { run } from "./in-process.js";
import { errorIn, type Outcome } from "./outcome.js";

const files = scratch();
const at = (name: string): string => join(files.dir, name);
const [mine, stranger] = [generateKeyPair(), generateKeyPair()];
const initramfs = Buffer.concat([Buffer.from("1f8b0800", "hex"), Buffer.alloc(3000, 6)]);
const carrying = { image: Buffer.concat([bzImage(), initramfs]), cmdline: "console=hvc0" };
/** A byte of the kernel's image, in its segment. */
const flip = (bytes: Buffer): unknown => bytes.writeUInt8(bytes.readUInt8(1500) ^ 1, 1500);

beforeAll(async () => {
  process.env["MICROVM_CACHE_DIR"] = at("cache");
  files.file(await rvf(vec(), kernel(carrying), manifest), "kernel.rvf");
  files.file(await rvf(vec(), manifest), "plain.rvf");
  files.file(await rvf(vec(), { ...kernel(carrying), damage: flip }, manifest), "damaged.rvf");
  files.file(
    await rvf({ ...vec(), damage: (bytes) => bytes.fill(9, 70, 80) }, kernel(), manifest),
    "vec.rvf",
  );
  files.file((await rvf(vec(), kernel(carrying), manifest)).subarray(0, 3000), "cut.rvf");
  await signKernel(at("kernel.rvf"), { privateKey: mine.privateKey, out: at("signed.rvf") });
  for (const [name, key] of Object.entries({ mine, stranger })) {
    files.file(Buffer.from(key.publicKey), `${name}.pub`);
    files.file(Buffer.from(key.privateKey), `${name}.key`);
  }
  // The signature is all that can tell.
  files.file(forged(fs.readFileSync(at("signed.rvf"))), "hash.rvf");
  await embedKernel(at("plain.rvf"), {
    image: files.file(bzImage()),
    privateKey: mine.privateKey,
    out: at("embedded.rvf"),
  });
  files.file(forged(fs.readFileSync(at("embedded.rvf")), { imageHash: true }), "forged.rvf");
});

const json = <T>({ status, stdout, stderr }: Outcome): T => {
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout) as T;
};

describe("inspect", () => {
  test("a store with a kernel", async () => {
    const { status, stdout } = await run("inspect", at("kernel.rvf"));
    expect(status).toBe(0);
    for (const line of [
      /^vectors: +2 of dimension 4 \(l2\)$/,
      /^segments: +1 vec, 1 kernel, 1 manifest$/,
      /^kernel: +bzImage, 2048 bytes, segment 2, image-cmdline$/,
      /^initramfs: +3004 bytes, gzip$/,
      /^cmdline: +console=hvc0$/,
      /^API: +http, guest port 8080$/,
      /^integrity: +weak \(segment hash: XXH3-128 matches; image hash: fold matches; signature: absent\)$/,
      /^warning: The image hash is a non-cryptographic fold/,
    ])
      expect(stdout).toMatch(new RegExp(line.source, "m"));

    const path = at("kernel.rvf");
    expect(json<RvfReport>(await run("inspect", path, "--json"))).toMatchObject({
      file: path,
      size: fs.statSync(path).size,
      segments: [
        {
          id: 1,
          type: "vec",
          offset: 0,
          length: 54,
          hash: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
        },
        { id: 2, type: "kernel" },
        { id: 3, type: "manifest" },
      ],
      store: { dimension: 4, vectors: 2, epoch: 1 },
      kernel: {
        segmentId: 2,
        layout: "image-cmdline",
        image: { kind: "bzImage", arch: "x86_64", size: 2048 },
        header: { arch: "x86_64", apiPort: 8080 },
        cmdline: "console=hvc0",
        compression: "none",
        initramfs: { size: 3004 },
      },
      integrity: { segment: "XXH3-128 matches", image: "fold matches", signature: "absent", verdict: "weak" },
      warnings: [expect.stringContaining("fold") as string],
    });
  });

  test("a store without a kernel", async () => {
    expect((await run("inspect", at("plain.rvf"))).stdout).toMatch(/^kernel: +none$/m);
    expect(json(await run("inspect", at("plain.rvf"), "--json"))).toMatchObject({
      kernel: null,
      integrity: null,
      warnings: [],
    });
  });

  test("a damaged kernel is shown as what it is, and is no failure", async () => {
    const { status, stdout } = await run("inspect", at("damaged.rvf"));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^integrity: +damaged \(segment hash: mismatch; /m);
    expect(json<RvfReport>(await run("inspect", at("damaged.rvf"), "--json"))).toMatchObject({
      kernel: { segmentId: 2 },
      integrity: { segment: "mismatch", image: "mismatch", verdict: "damaged" },
      warnings: [expect.stringContaining("does not match its hash") as string],
    });
  });

  test("a file cut short is an error", async () => {
    expect(await run("inspect", at("cut.rvf"))).toMatchObject({
      status: 1,
      stdout: "",
      stderr: expect.stringMatching(/^RvfInvalid: /) as string,
    });
  });

  test("a signature counts with its key", async () => {
    const verdictWith = async (...keys: string[]) => {
      const args = keys.flatMap((key) => ["--trusted-key", at(key)]);
      return json<RvfReport>(await run("inspect", at("signed.rvf"), ...args, "--json")).integrity;
    };
    expect(await verdictWith()).toMatchObject({ signature: "unchecked", verdict: "weak" });
    expect(await verdictWith("stranger.pub")).toMatchObject({ signature: "untrusted", verdict: "weak" });
    expect(await verdictWith("stranger.pub", "mine.pub")).toMatchObject({ verdict: "signed" });
  });
});

describe("verify", () => {
  test("what is good is told point by point", async () => {
    const { status, stdout, stderr } = await run("verify", at("kernel.rvf"));
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^ok {4}manifest: epoch 1 at byte \d+ names 2 segments; its hash matches$/m);
    expect(stdout).toMatch(/^weak {2}image hash: a non-cryptographic fold matches/m);
    expect(stdout).toMatch(/^accepted under "lenient": weak$/m);
    expect(json<VerifyReport>(await run("verify", at("kernel.rvf"), "--json"))).toMatchObject({
      verification: "lenient",
      refusal: null,
      integrity: { verdict: "weak" },
    });
  });

  test("a store without a kernel is accepted", async () => {
    const { status, stdout } = await run("verify", at("plain.rvf"));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^accepted under "lenient": no kernel$/m);
  });

  test("signed, under the strictest policy", async () => {
    const args = ["verify", at("signed.rvf"), "--verification", "signed", "--trusted-key", at("mine.pub")];
    const { status, stdout } = await run(...args);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ok {4}signature: signature of its segment by trusted key [0-9a-f]{32}$/m);
    expect(stdout).toMatch(/^accepted under "signed": signed$/m);
  });

  test.each<[string, string, string[], string]>([
    ["a damaged kernel", "damaged.rvf", [], "KernelDamaged"],
    ["damaged vectors", "vec.rvf", [], "RvfInvalid"],
    ["a file cut short", "cut.rvf", [], "RvfInvalid"],
    ["another image with the segment's hash set right", "hash.rvf", [], "KernelDamaged"],
    ["a forged kernel under strict", "forged.rvf", ["--verification", "strict"], "KernelUntrusted"],
    [
      "a forged kernel under signed",
      "forged.rvf",
      ["--verification", "signed", "--trusted-key", "mine.pub"],
      "KernelUntrusted",
    ],
    ["a fold under strict", "kernel.rvf", ["--verification", "strict"], "KernelUntrusted"],
    ["an unsigned one under signed", "kernel.rvf", ["--verification", "signed"], "KernelUntrusted"],
    [
      "another's signature under signed",
      "signed.rvf",
      ["--verification", "signed", "--trusted-key", "stranger.pub"],
      "KernelUntrusted",
    ],
  ])("%s: status 1, the points on stdout, the reason on stderr", async (_, name, options, code) => {
    const args = ["verify", at(name), ...options.map((one) => (one.endsWith(".pub") ? at(one) : one))];
    const words = await run(...args);
    expect(words.status).toBe(1);
    expect(words.stdout).toMatch(/^BAD {3}\S/m);
    expect(words.stdout).toMatch(/^REFUSED under "/m);
    expect(words.stderr).toMatch(new RegExp(`^${code}: \\S`));

    const document = await run(...args, "--json");
    expect(document.status).toBe(1);
    expect(errorIn(document)).toMatchObject({ code });
    const report = JSON.parse(document.stdout) as VerifyReport;
    expect(report.refusal).toMatchObject(errorIn(document));
    expect(report.points.some(({ outcome }) => outcome === "bad")).toBe(true);
  });
});

test.each(["verify", "extract", "dry-run"])("%s: what a missing key is given by is named", async (name) => {
  const output = name === "extract" ? ["-o", at("no")] : [];
  const { stderr } = await run(name, at("signed.rvf"), ...output, "--verification", "signed");
  expect(stderr).toContain("KernelUntrusted: ");
  if (name !== "verify") expect(stderr).toContain("Name the signer's public key in --trusted-key");
});

describe("extract", () => {
  test("writes both parts and prints their paths", async () => {
    const out = [at("k"), at("i")];
    const outcome = await run("extract", at("kernel.rvf"), "-o", out[0]!, "--initramfs", out[1]!);
    expect(outcome).toMatchObject({ status: 0, stdout: out.join("\n") });
    expect(outcome.stderr).toMatch(/^warning: The image hash is a non-cryptographic fold/);
    expect(out.map((path) => fs.readFileSync(path))).toEqual([bzImage(), initramfs]);
  });

  test("as JSON: inspect's document and what was written", async () => {
    const path = at("kernel.rvf");
    const document = json<object>(await run("extract", path, "-o", at("k2"), "--json"));
    const inspected = json<RvfReport>(await run("inspect", path, "--json"));
    expect(document).toEqual({ ...inspected, written: { kernel: at("k2"), initramfs: null } });
  });

  test("an initramfs that is left out is told of", async () => {
    const { stderr } = await run("extract", at("kernel.rvf"), "-o", at("k3"));
    expect(stderr).toMatch(/^note: there is an initramfs behind the kernel; --initramfs FILE writes it\.$/m);
  });

  test.each<[string, string, string[], number, string]>([
    ["a damaged kernel", "damaged.rvf", [], 1, "KernelDamaged"],
    ["a fold under strict", "kernel.rvf", ["--verification", "strict"], 1, "KernelUntrusted"],
    ["no kernel", "plain.rvf", [], 1, "NoKernelSegment"],
    ["no initramfs", "vec.rvf", ["--initramfs", "no-initramfs"], 2, "InvalidArgument"],
  ])("refused, no output is there: %s", async (_, name, options, status, code) => {
    const there = fs.readdirSync(files.dir);
    const args = options.map((one) => (one === "no-initramfs" ? at(one) : one));
    const outcome = await run("extract", at(name), "-o", at("no"), ...args, "--json");
    expect(outcome).toMatchObject({ status, stdout: "" });
    expect(errorIn(outcome)).toMatchObject({ code });
    expect(fs.readdirSync(files.dir)).toEqual(there);
  });
});

test.each(["inspect", "verify", "extract", "run", "dry-run"])(
  "%s: a private key is no key to trust, and is not repeated",
  async (name) => {
    const output = name === "extract" ? ["-o", at("no")] : [];
    const args = [name, at("kernel.rvf"), ...output, "--trusted-key", at("mine.key")];
    const { status, stdout, stderr } = await run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain("it is a private one. Name the .pub file.");
    expect(stderr).not.toContain(mine.privateKey.split("\n")[1]!);
  },
);
