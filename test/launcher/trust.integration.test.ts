/** Kernels under a policy, in real VMs: what is signed boots, what was tampered with never reaches QEMU. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { launch, type MicroVmHandle, type VmSpecInput } from "../../src/launcher/index.js";
import { embedKernel, generateKeyPair, inspectRvf, signKernel } from "../../src/rvf/index.js";
import { makeSampleRvf, neighboursOnHost, sampleQuery } from "../../tools/sample-rvf.js";
import { kernel, rvf, type SegmentSpec } from "../rvf/build.js";
import { forged } from "../support/forge.js";
import { appliancePath, expectNeighbours, sampleRvf } from "../support/rvf.js";
import { leftovers, privateState } from "../support/state.js";

const state = privateState();
const place = (name: string): string => join(state.dir, name);
const { publicKey, privateKey } = generateKeyPair();
const stranger = generateKeyPair().publicKey;
const signed: Partial<VmSpecInput> = { verification: "signed", trustedKeys: [stranger, publicKey] };

beforeAll(async () => {
  await embedKernel(await sampleRvf(), {
    image: appliancePath(),
    cmdline: "quiet",
    out: place("embedded.rvf"),
  });
  await signKernel(place("embedded.rvf"), { privateKey, out: place("signed.rvf") });
});

/** The same neighbours as the writer's own library finds. */
async function answers(vm: MicroVmHandle, reference: string): Promise<void> {
  for (const seed of [1, 2])
    expectNeighbours(await vm.query(sampleQuery(seed), 5), neighboursOnHost(reference, sampleQuery(seed), 5));
}

test("a kernel that we embedded and signed boots with its key, and says so", async () => {
  await using vm = await launch({ rvfPath: place("signed.rvf"), apiPort: 0, ...signed });
  await answers(vm, await sampleRvf());
  expect((await vm.status()).kernelIntegrity).toMatch(
    /^signature of its segment by trusted key [0-9a-f]{32}; image hash SHA3-256 matches; segment hash CRC32 matches$/,
  );
});

describe("refused before QEMU starts, without a trace", () => {
  const failureOf = async (spec: VmSpecInput): Promise<unknown> => {
    const outcome = await launch({ apiPort: 0, ...spec }).catch((error: unknown) => error);
    expect(await leftovers()).toEqual([]);
    return outcome;
  };

  test.each([
    ["another image behind the signature", {}, "KernelDamaged", "does not match its hash"],
    [
      "the same with every hash set right",
      { imageHash: true },
      "KernelUntrusted",
      "none of the trusted keys",
    ],
  ])("%s", async (name, options, code, words) => {
    const rvfPath = place(`${name}.rvf`);
    await writeFile(rvfPath, forged(await readFile(place("signed.rvf")), options));
    expect(await failureOf({ rvfPath, ...signed })).toMatchObject({
      code,
      property: "rvfPath",
      message: expect.stringContaining(words) as string,
    });
  });

  test.each<[string, string, Partial<VmSpecInput>, string]>([
    ["a key that did not sign", "signed.rvf", { ...signed, trustedKeys: [stranger] }, "rvfPath"],
    ["no key at all", "signed.rvf", { ...signed, trustedKeys: [] }, "rvfPath"],
    ["no signature", "embedded.rvf", signed, "rvfPath"],
    ["a kernel of the user's own", "signed.rvf", { ...signed, kernelPath: appliancePath() }, "kernelPath"],
  ])("%s", async (_, name, options, property) => {
    expect(await failureOf({ rvfPath: place(name), ...options })).toMatchObject({
      code: "KernelUntrusted",
      property,
    });
  });
});

test("a compressed kernel as ADR-030 has it boots", async () => {
  await makeSampleRvf(place("plain.rvf"));
  await writeFile(place("adr030.rvf"), await withCompressedKernel(place("plain.rvf")));
  expect(await inspectRvf(place("adr030.rvf"))).toMatchObject({
    kernel: { layout: "adr030", compression: "zstd", image: { kind: "bzImage" } },
    integrity: { verdict: "verified" },
  });
  await using vm = await launch({ rvfPath: place("adr030.rvf"), apiPort: 0, verification: "strict" });
  await answers(vm, place("plain.rvf"));
  expect((await vm.status()).kernelIntegrity).toMatch(/^not signed; image hash SHAKE-256 matches; /);
});

/** The store's segments, written anew with the appliance behind them as the `zstd` command packs it. */
async function withCompressedKernel(path: string): Promise<Buffer> {
  const image = await readFile(appliancePath());
  await promisify(execFile)("zstd", ["-q", "-3", appliancePath(), "-o", place("image.zst")]);
  const packed = await readFile(place("image.zst"));
  const store = await readFile(path);
  const { segments, store: facts } = await inspectRvf(path);
  const legacy = { checksum: "crc", padded: false } as const;
  const copies = segments
    .filter(({ type }) => type !== "manifest")
    .map(({ offset, length }): SegmentSpec => {
      const payload = store.subarray(offset + 64, offset + 64 + length);
      return { type: store.readUInt8(offset + 5), payload, ...legacy };
    });
  const adr030 = kernel({
    layout: "adr030",
    cmdline: "quiet",
    image: packed,
    imageHash: createHash("shake256", { outputLength: 32 }).update(image).digest(),
    header: (bytes) => {
      bytes.writeBigUInt64LE(BigInt(image.length), 0x18);
      bytes.writeUInt8(2, 0x28);
    },
  });
  const manifest = {
    dimension: facts.dimension,
    totalVectors: BigInt(facts.vectors),
    epoch: facts.epoch + 1,
  };
  return await rvf(...copies, { ...adr030, ...legacy }, { manifest, ...legacy });
}
