/** What `embedKernel` writes, byte for byte and as read back. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { embedKernel, extractKernel, inspectRvf, readKernel } from "../../../src/rvf/index.js";
import type { EmbedOptions } from "../../../src/rvf/index.js";
import {
  bzImage,
  certificate,
  elf,
  kernel,
  manifest,
  manifestPayload,
  rvf,
  scratch,
  vec,
  witness,
  type Part,
} from "../build.js";

const files = scratch();
const legacy = { checksum: "crc", padded: false } as const;
let count = 0;
const fresh = (): string => join(files.dir, `out-${count++}.rvf`);
const image = files.file(bzImage(), "bzImage");
const sha3 = (bytes: Buffer): Buffer => createHash("sha3-256").update(bytes).digest();
const arm64 = Buffer.alloc(128);
arm64.write("ARMd", 0x38, "latin1");

/** Embeds and gives the output's path and bytes, having seen that the input is as it was. */
async function embed(input: Buffer, options: Partial<EmbedOptions> = {}): Promise<[string, Buffer]> {
  const from = files.file(input);
  const out = fresh();
  await embedKernel(from, { image, out, ...options });
  expect(fs.readFileSync(from)).toEqual(input);
  return [out, fs.readFileSync(out)];
}

/** Header and payload of the kernel segment that the output has behind the input's bytes. */
function added(bytes: Buffer, start: number): { segment: Buffer; header: Buffer; payload: Buffer } {
  const segment = bytes.subarray(start, start + 64);
  const payload = bytes.subarray(start + 64, start + 64 + Number(segment.readBigUInt64LE(0x10)));
  return { segment, header: payload.subarray(0, 128), payload };
}

test("header, image and command line stand as the format has them", async () => {
  const input = await rvf(vec(), manifest);
  const cmdline = "console=hvc0 größe=1";
  const [, bytes] = await embed(input, { cmdline, minMemoryMb: 96, apiPort: 9090 });
  expect(bytes.subarray(0, input.length)).toEqual(input);
  const { segment, header, payload } = added(bytes, input.length);
  expect(segment.subarray(0, 8).toString("hex")).toBe("53465652010e0000");
  expect(segment.readBigUInt64LE(0x08)).toBe(3n);
  expect(segment.subarray(0x18, 0x28)).toEqual(Buffer.alloc(16));

  const bzImageBytes = bzImage();
  expect(payload.subarray(128)).toEqual(Buffer.concat([bzImageBytes, Buffer.from(cmdline)]));
  expect(header.subarray(0, 8).toString("hex")).toBe("4e4b565201000001");
  expect(header.readUInt32LE(0x08)).toBe(0b11000);
  expect(header.readUInt32LE(0x0c)).toBe(96);
  expect(header.readBigUInt64LE(0x18)).toBe(2048n);
  expect(header.readBigUInt64LE(0x20)).toBe(2048n);
  expect(header.readUInt16BE(0x2a)).toBe(9090);
  expect(header.readUInt32LE(0x2c)).toBe(1);
  expect(header.subarray(0x30, 0x50)).toEqual(sha3(bzImageBytes));
  expect(header.readBigUInt64LE(0x70)).toBe(128n + 2048n);
  expect(header.readUInt32LE(0x78)).toBe(Buffer.byteLength(cmdline));
});

test("the manifest is the newest one with the kernel first, all else as it was", async () => {
  const entry = { id: 1n, offset: 0, length: 54, type: 1 };
  const state = manifestPayload({ entries: [entry], epoch: 7, dimension: 768, deleted: [4n, 2n ** 63n] });
  const identity = Buffer.concat([Buffer.from("49444946", "hex"), Buffer.alloc(68, 0x77)]);
  const input = await rvf(vec(), { type: 5, payload: Buffer.concat([state, identity]) });
  const [out, bytes] = await embed(input);
  const old = { at: 128, bytes: Number(input.readBigUInt64LE(128 + 0x10)) };
  const before = input.subarray(old.at + 64, old.at + 64 + old.bytes);
  const at = bytes.lastIndexOf("SFVR", undefined, "latin1");
  const after = bytes.subarray(at + 64, at + 64 + Number(bytes.readBigUInt64LE(at + 0x10)));
  expect(bytes.readBigUInt64LE(at + 8)).toBe(4n);
  expect(after.readUInt32LE(0)).toBe(8);
  expect(after.subarray(4, 14)).toEqual(before.subarray(4, 14));
  expect(after.readUInt32LE(14)).toBe(2);
  expect(after.readUInt8(22 + 24)).toBe(0x0e);
  expect(after.readBigUInt64LE(22)).toBe(3n);
  expect(after.subarray(22 + 25)).toEqual(before.subarray(22));
  expect((await inspectRvf(out)).store).toMatchObject({ epoch: 8, dimension: 768 });
});

test.each([
  ["wire", await rvf(vec(), manifest), true],
  ["legacy", await rvf({ ...vec(), ...legacy }, { ...manifest, ...legacy }), false],
  ["legacy, without vectors", await rvf({ ...manifest, ...legacy }), false],
  ["wire, without vectors", await rvf(manifest), true],
  ["begun as legacy, gone on as wire", await rvf({ ...vec(), ...legacy }, manifest), false],
  ["begun as wire, gone on as legacy", await rvf(vec(), { ...manifest, ...legacy }), true],
])("goes on as the file was begun, also a second time: %s", async (_, input, padded) => {
  const [out, once] = await embed(input, { cmdline: "older" });
  const [again, twice] = await embed(once, { cmdline: "newer" });
  for (const bytes of [once, twice]) expect(bytes.length % 64 === 0).toBe(padded);
  expect(await readKernel(out)).toMatchObject({ cmdline: "older", warnings: [] });
  expect(await readKernel(again)).toMatchObject({ cmdline: "newer", warnings: [] });
  expect((await inspectRvf(again)).integrity).toEqual({
    segment: "CRC32 matches",
    image: "SHA3-256 matches",
    signature: "absent",
    verdict: "verified",
  });
});

test.each<[string, Part[], number]>([
  ["a kernel already, with a high id", [vec(), { ...kernel(), id: 900n }, manifest], 901],
  ["a witness behind the manifest", [vec(), manifest, witness], 4],
  [
    "a segment of a high id that no manifest names",
    [{ ...vec(), id: 70n }, { manifest: { entries: [] } }],
    71,
  ],
])("the kernel's id is above all others: %s", async (_, parts, id) => {
  const [out] = await embed(await rvf(...parts), { cmdline: "mine" });
  expect(await readKernel(out)).toMatchObject({ segmentId: id, cmdline: "mine" });
});

test("a witness behind the manifest is in the new one's directory, so that its chain goes on", async () => {
  const [out] = await embed(await rvf(vec(), manifest, witness));
  const { segments, warnings } = await inspectRvf(out);
  expect(segments.map(({ type }) => type)).toEqual(["vec", "witness", "kernel", "manifest"]);
  expect(warnings).toEqual([]);
});

test("an initramfs stands behind the kernel and is found there again", async () => {
  const cpio = Buffer.from("070701" + "0".repeat(94));
  const signedKernel = files.file(Buffer.concat([bzImage(), certificate(30)]), "signed-kernel");
  for (const kernelFile of [image, signedKernel]) {
    const [out] = await embed(await rvf(vec(), manifest), {
      image: kernelFile,
      initramfs: files.file(cpio),
      cmdline: "quiet",
    });
    const found = await extractKernel(out, { cacheDir: join(files.dir, "cache") });
    expect(fs.readFileSync(found.kernelPath)).toEqual(fs.readFileSync(kernelFile));
    expect(fs.readFileSync(found.initramfsPath!)).toEqual(cpio);
    expect(found.kernel.cmdline).toBe("quiet");
  }
});

test.each([
  ["bzImage", bzImage(), undefined, "x86_64", "micro_linux"],
  ["arm64 Image", arm64, "aarch64", "aarch64", "micro_linux"],
  ["ELF", elf({ machine: 243 }), undefined, "riscv64", "custom"],
  ["bytes that do not tell", Buffer.alloc(500, 1), "riscv64", "riscv64", "custom"],
] as const)("architecture and type by the image: %s", async (_, bytes, arch, expected, type) => {
  const [out] = await embed(await rvf(vec(), manifest), { image: files.file(bytes), arch });
  expect((await inspectRvf(out)).kernel).toMatchObject({
    image: { sha256: createHash("sha256").update(bytes).digest("hex") },
    header: { arch: expected, type, flags: ["HAS_NETWORKING", "HAS_QUERY_API"], apiPort: 8080 },
  });
});

test("a copy of a read-only store can be added to again", async () => {
  const from = files.file(await rvf(vec(), manifest));
  fs.chmodSync(from, 0o444);
  const out = fresh();
  await embedKernel(from, { image, out });
  expect(fs.statSync(out).mode & 0o777).toBe(0o644);
});
