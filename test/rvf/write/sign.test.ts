/** `signKernel`: the same kernel in a signed segment, and never one that is damaged. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { embedKernel, generateKeyPair, inspectRvf, readKernel, signKernel } from "../../../src/rvf/index.js";
import { bzImage, kernel, manifest, rvf, scratch, vec } from "../build.js";

const files = scratch();
const pair = generateKeyPair();
const other = generateKeyPair();
let count = 0;
const fresh = (): string => join(files.dir, `out-${count++}.rvf`);
const verdict = async (path: string, ...trustedKeys: string[]) =>
  (await inspectRvf(path, { trustedKeys })).integrity?.verdict;

/** Where the last kernel segment starts, and its payload. */
function lastKernel(bytes: Buffer): { at: number; payload: Buffer } {
  const at = bytes.lastIndexOf(Buffer.from("53465652010e", "hex"));
  return { at, payload: bytes.subarray(at + 64, at + 64 + Number(bytes.readBigUInt64LE(at + 0x10))) };
}

test.each([
  ["wire", {}],
  ["legacy", { checksum: "crc", padded: false } as const],
])("copies the payload byte for byte and signs its segment: %s", async (_, dialect) => {
  const before = await rvf(
    { ...vec(), ...dialect },
    { ...kernel({ cmdline: "quiet" }), ...dialect },
    { ...manifest, ...dialect },
  );
  const path = files.file(before);
  const out = fresh();
  const report = await signKernel(path, { privateKey: pair.privateKey, out });
  expect(readFileSync(path)).toEqual(before);
  expect(report).toMatchObject({ out, segmentId: 4, signer: pair.fingerprint });

  const bytes = readFileSync(out);
  const { at, payload } = lastKernel(bytes);
  expect(payload).toEqual(lastKernel(before).payload);
  expect(bytes.readUInt16LE(at + 6)).toBe(4);
  expect(bytes.subarray(at + 64 + payload.length, at + 64 + payload.length + 4).toString("hex")).toBe(
    "00004000",
  );
  expect(await verdict(out, pair.publicKey)).toBe("signed");
  expect(await verdict(out, other.publicKey)).toBe("weak");
  await expect(
    readKernel(out, { verification: "signed", trustedKeys: [other.publicKey] }),
  ).rejects.toMatchObject({ code: "KernelUntrusted" });
});

test("every bit of the signed segment counts", async () => {
  const path = files.file(await rvf(vec(), kernel(), manifest));
  const out = fresh();
  await signKernel(path, { privateKey: pair.privateKey, out });
  const bytes = readFileSync(out);
  const { at, payload } = lastKernel(bytes);
  const behind = at + 64 + payload.length;
  for (const [what, place] of Object.entries({
    timestamp: at + 0x18,
    header: at + 64 + 0x0c,
    image: at + 64 + 500,
    signature: behind + 20,
  })) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8((changed[place] ?? 0) ^ 1, place);
    expect([what, await verdict(files.file(changed), pair.publicKey)]).not.toContain("signed");
  }
});

test("signing again replaces the signer, and the store stays as it was", async () => {
  const path = files.file(await rvf(vec(), manifest));
  const [embedded, signed, again] = [fresh(), fresh(), fresh()];
  await embedKernel(path, { image: files.file(bzImage()), cmdline: "quiet", out: embedded });
  await signKernel(embedded, { privateKey: pair.privateKey, out: signed });
  await signKernel(signed, { privateKey: other.privateKey, out: again });
  expect(await verdict(again, pair.publicKey)).toBe("verified");
  expect(await verdict(again, other.publicKey)).toBe("signed");
  expect((await inspectRvf(again)).store).toMatchObject({ vectors: 2, epoch: 4 });
  expect(await readKernel(again)).toMatchObject({ cmdline: "quiet" });
});

const broken = kernel();
broken.damage = (bytes) => bytes.writeUInt8(1, 700);

test.each([
  ["without a kernel", await rvf(vec(), manifest), "NoKernelSegment"],
  ["with a damaged kernel", await rvf(vec(), broken, manifest), "KernelDamaged"],
  [
    "whose image is another one",
    await rvf(kernel({ imageHash: Buffer.alloc(32, 1) }), manifest),
    "KernelDamaged",
  ],
  ["cut short", (await rvf(vec(), kernel(), manifest)).subarray(0, -70), "RvfInvalid"],
])("refuses a store %s", async (_, bytes, code) => {
  const path = files.file(bytes);
  const there = readdirSync(files.dir).sort();
  const run = signKernel(path, { privateKey: pair.privateKey, out: fresh() });
  await expect(run).rejects.toMatchObject({ code });
  expect(readdirSync(files.dir).sort()).toEqual(there);
});
