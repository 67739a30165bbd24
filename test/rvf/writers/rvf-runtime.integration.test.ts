/**
 * Files of the real crates rvf-runtime 0.5.0 and rvf-crypto 0.3.0, by the program whose path is in RVF_WRITER_BIN; and what
 * those crates' own readers say of the same files. Where they answer otherwise than ours, the test says who is right.
 */
import { spawnSync } from "node:child_process";
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { extractKernel, inspectRvf, signKernel, type Trust } from "../../../src/rvf/index.js";
import { bzImage, fold, scratch } from "../build.js";

const files = scratch();
const image = bzImage(0x90);
const cmdline = "console=ttyS0 quiet";
let count = 0;

interface Answer {
  status: number | null;
  stdout: string;
  stderr: string;
}

function upstream(...args: string[]): Answer {
  const command = process.env.RVF_WRITER_BIN;
  if (command === undefined) throw new Error("RVF_WRITER_BIN must name the tests' rvf-writer.");
  const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 30_000 });
  if (error) throw error;
  return { status, stdout: stdout.trim(), stderr: stderr.trim() };
}

/** The path of a new store of a kind with `image` and `cmdline` in it. */
function written(kind: string, ...args: string[]): string {
  const path = join(files.dir, `${kind}-${count++}.rvf`);
  const input = ["--image", files.file(image), "--cmdline", cmdline];
  expect(upstream(kind, path, ...args, ...input)).toMatchObject({ status: 0, stderr: "" });
  return path;
}

/** What our reader takes out of a file: the one place that knows how its reports look. */
async function ours(path: string, trust: Trust = {}) {
  const { store } = await inspectRvf(path);
  const cacheDir = join(files.dir, `cache-${count++}`);
  const { kernelPath, kernel } = await extractKernel(path, { cacheDir, ...trust });
  return {
    image: readFileSync(kernelPath),
    layout: kernel.layout,
    cmdline: kernel.cmdline,
    segmentId: kernel.segmentId,
    binding: kernel.binding?.version,
    integrity: kernel.integrity,
    warnings: kernel.warnings.join("\n"),
    vectors: store.vectors,
  };
}

/** What upstream's reader hands out as the image, by length and hash, and the version of the binding it sees (0: none). */
function theirs(path: string): unknown {
  const { status, stdout, stderr } = upstream("extract", path);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

const handsOut = (bytes: Buffer, bindingVersion: number): unknown => ({
  length: bytes.length,
  sha256: createHash("sha256").update(bytes).digest("hex"),
  bindingVersion,
});

/** An image with its command line behind it; and bytes 0x40 and 0x41 of the image taken for a binding's version. */
const imageAndCmdline = (bytes = image): unknown =>
  handsOut(Buffer.concat([bytes, Buffer.from(cmdline)]), bytes.readUInt16LE(0x40));

/** The kernel's newest segment in a file, by its report. */
async function kernelSegment(path: string): Promise<{ offset: number; payload: number; end: number }> {
  const { segments, kernel } = await inspectRvf(path);
  const { offset, length } = segments.find(({ id }) => id === kernel?.segmentId)!;
  return { offset, payload: offset + 64, end: offset + 64 + length };
}

/** A copy with one bit of the image flipped, as by accident. */
async function damaged(path: string): Promise<string> {
  const { payload } = await kernelSegment(path);
  const bytes = readFileSync(path);
  bytes[payload + 400]! ^= 1;
  return files.file(bytes);
}

/** The same by somebody who knows the format: the fold over the image and the segment's hash (SHAKE-256) fit again. */
async function forged(path: string): Promise<string> {
  const { offset, payload, end } = await kernelSegment(path);
  const bytes = readFileSync(path);
  const imageAt = payload + 128;
  bytes[imageAt + 272]! ^= 1;
  fold(bytes.subarray(imageAt, imageAt + image.length)).copy(bytes, payload + 0x30);
  bytes[offset + 0x20] = 2;
  const hash = createHash("shake256", { outputLength: 16 }).update(bytes.subarray(payload, end));
  hash.digest().copy(bytes, offset + 0x28);
  return files.file(bytes);
}

/** Upstream's image has the command line behind it; ours ends where image_size says, and as far as image_hash is over. */
test("plain: upstream hands out the command line with the image, and a binding that is not there; ours is right", async () => {
  const path = written("plain");
  expect(await ours(path)).toMatchObject({ image, cmdline, layout: "image-cmdline", vectors: 3 });
  expect((await ours(path)).binding).toBeUndefined();
  expect(theirs(path)).toEqual(imageAndCmdline());
});

/** QEMU would be given 128 bytes of hashes and a command line for a kernel: the sizes and image_hash speak for ours. */
test("binding: upstream hands out binding and command line as the image's beginning; ours is right", async () => {
  const path = written("binding");
  expect(await ours(path)).toMatchObject({ image, cmdline, layout: "binding-cmdline-image", binding: 1 });
  const binding = Buffer.alloc(128);
  binding.fill(0x11, 0, 32).fill(0x22, 32, 64).writeUInt16LE(1, 64);
  expect(theirs(path)).toEqual(handsOut(Buffer.concat([binding, Buffer.from(cmdline), image]), 1));
});

test("binding: segments that it does not allow are told; upstream never looks at the mask", async () => {
  const journal = 1 << 4;
  const strange = written("binding", "--allowed-segment-mask", String(journal));
  expect((await ours(strange)).warnings).toMatch(/does not allow \(.*kernel/);
  expect(theirs(strange)).toMatchObject({ bindingVersion: 1 });
  // Vectors, manifests, witnesses and kernels.
  const usual = (1 << 1) | (1 << 5) | (1 << 0xa) | (1 << 0xe);
  const { warnings } = await ours(written("binding", "--allowed-segment-mask", String(usual)));
  expect(warnings).not.toMatch(/does not allow/);
});

/** The format says that the reserved bytes must be zero, and a check of them is in its crates; extraction skips it. */
test("binding: reserved bytes that are not zero are refused; upstream passes over them, ours is right", async () => {
  const path = written("binding", "--padding", "7");
  await expect(ours(path)).rejects.toMatchObject({ code: "KernelDamaged" });
  expect(theirs(path)).toMatchObject({ bindingVersion: 1 });
});

/** Who embeds a kernel again wants it booted: the directory only grows, and upstream takes its first entry. */
test("re-embedded: upstream goes on handing out the oldest kernel; ours, the newest, is right", async () => {
  const newer = bzImage(0x41);
  const path = written("re-embedded", "--newer-image", files.file(newer));
  expect(await ours(path)).toMatchObject({ image: newer });
  expect(theirs(path)).toEqual(imageAndCmdline());
  // Upstream does not see damage to a kernel that it does not look at.
  const broken = await damaged(path);
  await expect(ours(broken)).rejects.toMatchObject({ code: "KernelDamaged" });
  expect(theirs(broken)).toEqual(imageAndCmdline());
});

test.each(["deleted", "compacted"])("%s: the kernel stays, and so do the other vectors", async (kind) => {
  const path = written(kind);
  expect(await ours(path)).toMatchObject({ image, cmdline, vectors: 2 });
  expect(theirs(path)).toEqual(imageAndCmdline());
});

test.each(["derived", "branched"])("%s: the child has no kernel, the parent keeps its own", async (kind) => {
  const child = join(files.dir, `${kind}-child.rvf`);
  const parent = written(kind, child);
  expect(await ours(parent)).toMatchObject({ image, cmdline });
  await expect(ours(child)).rejects.toMatchObject({ code: "NoKernelSegment" });
  expect(theirs(child)).toBeNull();
});

/** What the child's own file holds is no matter of another file: ours reads one file. */
test("branched: without its parent upstream cannot even say that there is no kernel; ours is right", async () => {
  const child = join(files.dir, "orphan.rvf");
  rmSync(written("branched", child));
  await expect(ours(child)).rejects.toMatchObject({ code: "NoKernelSegment" });
  expect(() => theirs(child)).toThrow();
});

const secret = Buffer.alloc(32, 7);
const privateKey = keyOf(secret);
const publicKey = hexOf(privateKey);
const strangersKey = hexOf(keyOf(Buffer.alloc(32, 8)));

function keyOf(seed: Buffer): KeyObject {
  const key = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

function hexOf(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
}

const signedBy = (...trustedKeys: string[]): Trust => ({ verification: "signed", trustedKeys });
const openStrict = (path: string, key = publicKey): Answer =>
  upstream("open-strict", path, "--public-key", key);

describe("a signed store", () => {
  const store = (): string => written("signed", "--secret", secret.toString("hex"));

  test("is accepted by whoever trusts its key, and by nobody else", async () => {
    const path = store();
    expect(await ours(path, signedBy(publicKey))).toMatchObject({ image, cmdline });
    expect(openStrict(path)).toMatchObject({ status: 0, stdout: "ok" });
    await expect(ours(path, signedBy(strangersKey))).rejects.toMatchObject({ code: "KernelUntrusted" });
    expect(openStrict(path, strangersKey).stderr).toMatch(/unknown signer/);
    expect(await ours(path)).toMatchObject({ image });
  });

  test("with a damaged kernel is refused by all", async () => {
    const path = await damaged(store());
    await expect(ours(path)).rejects.toMatchObject({ code: "KernelDamaged" });
    expect(openStrict(path).status).toBe(1);
    expect(() => theirs(path)).toThrow(/InvalidChecksum/);
  });

  /** The list of hashes that the signature is for has another one: that can be seen without knowing the signer. */
  test("with a forged kernel is refused; upstream's default open accepts it, ours and its strict one are right", async () => {
    const path = await forged(store());
    for (const trust of [{}, signedBy(publicKey)])
      await expect(ours(path, trust)).rejects.toMatchObject({ code: "KernelUntrusted" });
    expect(openStrict(path).status).toBe(1);
    expect(theirs(path)).toMatchObject({ length: image.length + cmdline.length });
  });

  /** The list of signed hashes is still in the manifest and gives it away. */
  test("with its signature cut off is refused; upstream's default open accepts it, ours and its strict one are right", async () => {
    const path = store();
    truncateSync(path, statSync(path).size - 4096);
    for (const trust of [{}, signedBy(publicKey)])
      await expect(ours(path, trust)).rejects.toMatchObject({ code: "KernelUntrusted" });
    expect(openStrict(path).status).toBe(1);
    expect(theirs(path)).toEqual(imageAndCmdline());
  });
});

describe("a kernel signed by us", () => {
  async function signedCopy(): Promise<string> {
    const out = join(files.dir, `signed-copy-${count++}.rvf`);
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    await signKernel(written("plain"), { privateKey: pem, out });
    return out;
  }
  const verified = (path: string, offset: number, key: string): Answer =>
    upstream("segment-signature", path, String(offset), "--public-key", key);

  test("has the very signature that upstream makes, accepted by upstream with the right key only", async () => {
    const path = await signedCopy();
    const { offset, end } = await kernelSegment(path);
    const footer = upstream("sign-segment", path, String(offset), "--secret", secret.toString("hex"));
    expect(readFileSync(path).toString("hex", end, end + 72)).toBe(footer.stdout);
    expect(verified(path, offset, publicKey)).toMatchObject({ status: 0, stdout: "accepted" });
    expect(verified(path, offset, strangersKey)).toMatchObject({ status: 1, stdout: "refused" });
    expect(await ours(path, signedBy(publicKey))).toMatchObject({ image, cmdline });
  });

  test("is refused by both once it has been forged", async () => {
    const path = await forged(await signedCopy());
    const { offset } = await kernelSegment(path);
    expect(verified(path, offset, publicKey)).toMatchObject({ status: 1, stdout: "refused" });
    await expect(ours(path, signedBy(publicKey))).rejects.toMatchObject({ code: "KernelUntrusted" });
  });

  test("still opens upstream, with the same image", async () => {
    expect(theirs(await signedCopy())).toEqual(imageAndCmdline());
  });
});
