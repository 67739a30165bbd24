/** The signature of a segment, held against what rvf-crypto 0.3.0's `sign_segment` and its footer codec gave. */
import { createHash, createPrivateKey, sign } from "node:crypto";
import {
  encodeSignatureFooter,
  parseSignatureFooter,
  segmentMessage,
} from "../../../src/rvf/verify/segment-signature.js";

/** rvf-crypto with the key seed 07 07 ..., the payload i % 251 of 200 bytes, and this header. */
const header = Buffer.from(
  "53465652010e0400" +
    "0900000000000000" +
    "c800000000000000" +
    "0000000000000000" +
    "0000000000000000" +
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf" +
    "0000000000000000",
  "hex",
);
const payload = Buffer.from(Array.from({ length: 200 }, (_, index) => index % 251));
const footer = Buffer.from(
  "00004000" +
    "2a1fb2f7dcace1ed0835d52a5c32e9cc4cfd49be6e0b1e78a4536258fe9808c8" +
    "f0b5ec732f08a966cb71ee1976cb4a255b6879d01a01412c7c29a040d23d8401" +
    "48000000",
  "hex",
);

test("signs what rvf-crypto signs, in the footer it writes", () => {
  const seed = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), Buffer.alloc(32, 7)]);
  const key = createPrivateKey({ key: seed, format: "der", type: "pkcs8" });
  const digest = createHash("shake256", { outputLength: 16 }).update(payload).digest();
  expect(encodeSignatureFooter(sign(null, segmentMessage(header, digest), key))).toEqual(footer);
});

test("every byte of header and digest counts, but not the length of the padding", () => {
  const digest = Buffer.alloc(16, 1);
  const original = segmentMessage(header, digest);
  const changes = Array.from({ length: 64 }, (_, at) => {
    const other = Buffer.from(header);
    other.writeUInt8((other[at] ?? 0) ^ 1, at);
    return segmentMessage(other, digest).equals(original) ? at : -1;
  }).filter((at) => at >= 0);
  expect(changes).toEqual([0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f]);
  expect(segmentMessage(header, Buffer.alloc(16, 2))).not.toEqual(original);
});

interface Made {
  algorithm?: number;
  signature?: number;
  total?: number;
}

function made({ algorithm = 0, signature = 64, total = 8 + signature }: Made = {}): Buffer {
  const bytes = Buffer.alloc(8 + signature, 0x55);
  bytes.writeUInt16LE(algorithm, 0);
  bytes.writeUInt16LE(signature, 2);
  bytes.writeUInt32LE(total, 4 + signature);
  return bytes;
}

test("parses what it encodes, whatever follows", () => {
  const ed25519 = Buffer.alloc(64, 9);
  const parsed = parseSignatureFooter(Buffer.concat([encodeSignatureFooter(ed25519), Buffer.alloc(5)]));
  expect(parsed).toEqual({ bytes: 72, algorithm: "Ed25519", ed25519 });
});

test.each([
  ["ML-DSA-65", made({ algorithm: 1, signature: 3309 }), { bytes: 3317, algorithm: "ML-DSA-65" }],
  ["SLH-DSA-128s", made({ algorithm: 2, signature: 7856 }), { bytes: 7864, algorithm: "SLH-DSA-128s" }],
  ["an unknown algorithm", made({ algorithm: 9, signature: 5 }), { bytes: 13, algorithm: "number 9" }],
])("names an algorithm that is not verified here: %s", (_, bytes, expected) => {
  expect(parseSignatureFooter(bytes)).toEqual(expected);
});

test.each([
  ["nothing", Buffer.alloc(0)],
  ["less than the fixed fields", Buffer.alloc(7)],
  ["a signature longer than what is there", made().subarray(0, 71)],
  ["the largest length there is", Buffer.alloc(100, 0xff)],
  ["a total that contradicts the signature's length", made({ total: 73 })],
  ["Ed25519 with a signature of another length", made({ signature: 63 })],
  ["zeros", Buffer.alloc(72)],
])("sees no footer in %s", (_, bytes) => {
  expect(parseSignatureFooter(bytes)).toBeUndefined();
});
