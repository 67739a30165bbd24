/** What each policy makes of each finding. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { inspectRvf, readKernel, verifyRvf, type Verification } from "../../../src/rvf/index.js";
import {
  bzImage,
  kernel,
  manifest,
  rvf,
  scratch,
  signatureFooter,
  vec,
  type KernelSpec,
  type Part,
} from "../build.js";

const files = scratch();
const image = bzImage();
const sha3 = createHash("sha3-256").update(image).digest();
const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519");
const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();

const write = async (...parts: Part[]): Promise<string> =>
  files.file(await rvf(manifest, vec(), ...parts, manifest));
const signedBy = (key: KeyObject, more: KernelSpec = {}): Part =>
  kernel({ layout: "adr030-signed", cmdline: "quiet", sign: (message) => sign(null, message, key), ...more });

/** A segment with the flag SIGNED and a SignatureFooter behind its payload, signed as rvf-crypto documents it. */
function signedSegment(key: KeyObject, change: (bytes: Buffer) => void = () => undefined): Part {
  const part = kernel({ cmdline: "quiet" });
  return {
    ...part,
    footer: (header) => {
      const digest = createHash("shake256", { outputLength: 16 }).update(part.payload).digest();
      const message = Buffer.concat([
        header.subarray(0, 0x28),
        header.subarray(0x28, 0x38),
        Buffer.from("RVF-v1-segment"),
        header.subarray(8, 16),
        digest,
      ]);
      return signatureFooter(sign(null, message, key));
    },
    damage: change,
  };
}

type Outcome = "ok" | "KernelDamaged" | "KernelUntrusted";
const policies: Verification[] = ["lenient", "strict", "signed"];
const trusted = [pem(publicKey)];

test.each<[string, () => Part, string, [Outcome, Outcome, Outcome]]>([
  [
    "no hash at all",
    () => ({ ...kernel({ imageHash: Buffer.alloc(32) }), checksum: "unset" }),
    "unprotected",
    ["ok", "KernelUntrusted", "KernelUntrusted"],
  ],
  [
    "a segment hash only",
    () => kernel({ imageHash: Buffer.alloc(32) }),
    "weak",
    ["ok", "KernelUntrusted", "KernelUntrusted"],
  ],
  ["a fold", () => kernel(), "weak", ["ok", "KernelUntrusted", "KernelUntrusted"]],
  ["SHA3-256", () => kernel({ imageHash: sha3 }), "verified", ["ok", "ok", "KernelUntrusted"]],
  [
    "SHA3-256 without a segment hash",
    () => ({ ...kernel({ imageHash: sha3 }), checksum: "unset" }),
    "verified",
    ["ok", "KernelUntrusted", "KernelUntrusted"],
  ],
  [
    "another image's SHA3-256",
    () => kernel({ imageHash: createHash("sha3-256").update("other").digest() }),
    "damaged",
    ["KernelDamaged", "KernelDamaged", "KernelDamaged"],
  ],
  [
    "a false segment hash",
    () => ({ ...kernel({ imageHash: sha3 }), damage: (b) => b.fill(1, 0x28, 0x38) }),
    "damaged",
    ["KernelDamaged", "KernelDamaged", "KernelDamaged"],
  ],
  ["an image signed by a trusted key", () => signedBy(privateKey), "signed", ["ok", "ok", "ok"]],
  [
    "an image signed by a stranger",
    () => signedBy(stranger.privateKey, { imageHash: sha3 }),
    "verified",
    ["ok", "KernelUntrusted", "KernelUntrusted"],
  ],
  ["a segment signed by a trusted key", () => signedSegment(privateKey), "signed", ["ok", "ok", "ok"]],
  [
    "a segment signed by a stranger",
    () => signedSegment(stranger.privateKey),
    "weak",
    ["ok", "KernelUntrusted", "KernelUntrusted"],
  ],
  [
    "a signed segment whose flags were changed",
    () => signedSegment(privateKey, (b) => b.writeUInt16LE(0x0c, 6)),
    "weak",
    ["ok", "KernelUntrusted", "KernelUntrusted"],
  ],
  [
    "SIGNED in the segment's flags only",
    () => ({ ...kernel({ imageHash: sha3 }), damage: (b) => b.writeUInt16LE(4, 6) }),
    "damaged",
    ["KernelUntrusted", "KernelUntrusted", "KernelUntrusted"],
  ],
  [
    "SIGNED in the kernel's flags only",
    () => kernel({ imageHash: sha3, header: (b) => b.writeUInt32LE(1 << 8, 8) }),
    "damaged",
    ["KernelUntrusted", "KernelUntrusted", "KernelUntrusted"],
  ],
])("%s", async (_, part, verdict, outcomes) => {
  const path = await write(part());
  expect((await inspectRvf(path, { trustedKeys: trusted })).integrity?.verdict).toBe(verdict);
  for (const [index, verification] of policies.entries()) {
    const options = { verification, trustedKeys: trusted };
    const outcome = await readKernel(path, options).then(
      () => "ok",
      (error: { code: string }) => error.code,
    );
    expect([verification, outcome]).toEqual([verification, outcomes[index]]);
    const { refusal } = await verifyRvf(path, options);
    expect([verification, refusal?.code ?? "ok"]).toEqual([verification, outcomes[index]]);
  }
});

test("a flipped bit anywhere in what is signed makes the signature another's", async () => {
  for (const at of [64 + 10, 64 + 128, 64 + 200, 64 + 136 + image.length + 10]) {
    const part = { ...signedBy(privateKey, { imageHash: Buffer.alloc(32) }), checksum: "unset" } as const;
    const path = await write({ ...part, damage: (b) => void b.writeUInt8(b.readUInt8(at) ^ 1, at) });
    await expect(readKernel(path, { verification: "signed", trustedKeys: trusted })).rejects.toMatchObject({
      code: expect.stringMatching(/^Kernel(Untrusted|Unsupported|Damaged)$/) as string,
    });
  }
});

test("without a trusted key a signature is told of, not believed", async () => {
  const path = await write(signedBy(privateKey, { imageHash: sha3 }));
  const { integrity, warnings } = await readKernel(path);
  expect(integrity).toMatch(/not checked, because no key is trusted; image hash SHA3-256 matches/);
  expect(warnings).toEqual([expect.stringMatching(/carries a signature of its image that was not checked/)]);
});

test("the words name the trusted key", async () => {
  const { integrity } = await readKernel(await write(signedSegment(privateKey)), { trustedKeys: trusted });
  expect(integrity).toMatch(/^signature of its segment by trusted key [0-9a-f]{32}; image hash/);
});

test("keys that are none are refused before the file is read", () => {
  expect(() => readKernel("/no/such/file", { trustedKeys: ["nonsense"] })).toThrow(/no Ed25519 public key/);
});
