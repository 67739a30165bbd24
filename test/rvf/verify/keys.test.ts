/** Keys as people hand them over: the right ones are taken, the wrong ones named, and no error repeats a key. */
import { generateKeyPairSync } from "node:crypto";
import { MicroVmError } from "../../../src/errors.js";
import {
  fingerprint,
  generateKeyPair,
  parsePrivateKey,
  parsePublicKey,
  publicKeyOf,
  rawPublicKey,
} from "../../../src/rvf/verify/keys.js";

const pair = generateKeyPair();
const raw = rawPublicKey(parsePublicKey(pair.publicKey)).toString("hex");

const pems = (type: "x25519" | "ed448"): { privateKey: string; publicKey: string } =>
  generateKeyPairSync(type as "x25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
const rsa = generateKeyPairSync("rsa", {
  modulusLength: 1024,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
});
const encrypted = generateKeyPairSync("ed25519").privateKey.export({
  type: "pkcs8",
  format: "pem",
  cipher: "aes-256-cbc",
  passphrase: "secret",
}) as string;
const cut = (pem: string): string => pem.replace(/\n.{20}/, "\n");

test("a pair belongs together, by PEM and by hex", () => {
  expect(raw).toMatch(/^[0-9a-f]{64}$/);
  const publicKey = publicKeyOf(parsePrivateKey(pair.privateKey));
  expect(rawPublicKey(publicKey).toString("hex")).toBe(raw);
  for (const text of [pair.publicKey, raw, raw.toUpperCase(), `\n ${raw}\n`, `a comment\n${pair.publicKey}`])
    expect(parsePublicKey(text).equals(publicKey)).toBe(true);
  expect(fingerprint(publicKey)).toBe(pair.fingerprint);
});

test("the fingerprint is SHAKE-256-128 of the raw key", () => {
  // RFC 8032, test 1; the digest by `openssl dgst -shake256 -xoflen 16`.
  const key = parsePublicKey("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  expect(fingerprint(key)).toBe("7cb16e94954c73e793776b730c4fa20f");
});

test.each([
  ["a private key", pair.privateKey, "it is a private one"],
  ["an encrypted private key", encrypted, "it is a private one"],
  ["RSA", rsa.publicKey, "it is of type rsa"],
  ["X25519", pems("x25519").publicKey, "it is of type x25519"],
  ["Ed448", pems("ed448").publicKey, "it is of type ed448"],
  ["a certificate", pair.publicKey.replaceAll("PUBLIC KEY", "CERTIFICATE"), "another kind (CERTIFICATE)"],
  ["damaged PEM", cut(pair.publicKey), "its PEM text is damaged"],
  ["hex that is too short", raw.slice(1), "it is no PEM text"],
  ["hex that is too long", `${raw}0`, "it is no PEM text"],
  ["nothing", "", "it is no PEM text"],
  ["garbage", "\0\xff".repeat(100_000), "it is no PEM text"],
])("no public key: %s", (_, text, words) => expectRefusal(() => parsePublicKey(text), text, words));

test.each([
  ["a public key", pair.publicKey, "it is a public one"],
  ["hex", raw, "it is hex digits"],
  ["an encrypted key", encrypted, "it is encrypted with a passphrase"],
  ["RSA", rsa.privateKey, "it is of type rsa"],
  ["X25519", pems("x25519").privateKey, "it is of type x25519"],
  ["an OpenSSH key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "another kind (OPENSSH PRIVATE KEY)"],
  ["damaged PEM", cut(pair.privateKey), "its PEM text is damaged"],
  ["nothing", "", "it is no PEM text"],
])("no private key: %s", (_, text, words) => expectRefusal(() => parsePrivateKey(text), text, words));

function expectRefusal(parse: () => unknown, text: string, words: string): void {
  const error = thrownBy(parse);
  expect(error.code).toBe("InvalidArgument");
  expect(error.message).toContain(words);
  const told = `${error.message} ${error.hint} ${String(error.cause)}`;
  for (const line of text.split("\n").filter((one) => /^[\w+/=]{16,}$/.test(one)))
    expect(told).not.toContain(line);
}

function thrownBy(action: () => unknown): MicroVmError {
  try {
    action();
  } catch (error) {
    if (error instanceof MicroVmError) return error;
    throw error;
  }
  throw new Error("It was taken.");
}
