/** Ed25519 keys as people keep them: PEM files and hex. No error ever repeats what it was given. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { MicroVmError } from "../../errors.js";
import { shake256 } from "../hash.js";

/** SubjectPublicKeyInfo of an Ed25519 key, up to the key's own 32 bytes. */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

/** Reads a public key: PEM (SPKI), or 64 hex digits of the raw key. Throws InvalidArgument. */
export function parsePublicKey(text: string): KeyObject {
  if (isHexKey(text)) return publicKeyFrom(text.trim());
  const label = labelOf(text);
  if (label?.endsWith("PRIVATE KEY")) throw refused("public", "it is a private one", "Name the .pub file.");
  if (label !== "PUBLIC KEY") throw refused("public", wordsFor(label), "It is PEM text or 64 hex digits.");
  return ed25519("public", () => createPublicKey(text));
}

/** Reads a private key: PEM (PKCS#8, without a passphrase). Throws InvalidArgument. */
export function parsePrivateKey(text: string): KeyObject {
  const label = labelOf(text);
  if (label === "PUBLIC KEY") throw refused("private", "it is a public one", "Name the .key file.");
  if (label === "ENCRYPTED PRIVATE KEY")
    throw refused(
      "private",
      "it is encrypted with a passphrase",
      "`openssl pkey -in FILE` writes it without one.",
    );
  if (label !== "PRIVATE KEY")
    throw refused(
      "private",
      isHexKey(text) ? "it is hex digits" : wordsFor(label),
      "It is PEM text (PKCS#8); `microvm keygen` makes one.",
    );
  return ed25519("private", () => createPrivateKey(text));
}

export interface KeyPair {
  /** PKCS#8 without a passphrase, PEM. */
  privateKey: string;
  /** SPKI, PEM. */
  publicKey: string;
  /** See `fingerprint`. */
  fingerprint: string;
}

export function generateKeyPair(): KeyPair {
  const pair = generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  return { ...pair, fingerprint: fingerprint(parsePublicKey(pair.publicKey)) };
}

export const publicKeyOf = (privateKey: KeyObject): KeyObject => createPublicKey(privateKey);

/** The 32 bytes of a public key. */
export const rawPublicKey = (publicKey: KeyObject): Buffer =>
  publicKey.export({ type: "spki", format: "der" }).subarray(SPKI_PREFIX.length);

/** What a public key is called: SHAKE-256-128 of its 32 bytes, in hex, as the root pages of signed stores have it. */
export function fingerprint(publicKey: KeyObject): string {
  const hash = shake256(128);
  hash.update(rawPublicKey(publicKey));
  return hash.digest().toString("hex");
}

const isHexKey = (text: string): boolean => /^[0-9a-f]{64}$/i.test(text.trim());

function publicKeyFrom(hex: string): KeyObject {
  const key = Buffer.concat([SPKI_PREFIX, Buffer.from(hex, "hex")]);
  return createPublicKey({ key, format: "der", type: "spki" });
}

/** What a PEM says it is. Asked first, since Node makes a public key of a private one without a word. */
const labelOf = (text: string): string | undefined => /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(text)?.[1];

const wordsFor = (label: string | undefined): string =>
  label === undefined ? "it is no PEM text" : `it is PEM of another kind (${label})`;

type Half = "public" | "private";

function ed25519(half: Half, read: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    throw refused(half, "its PEM text is damaged", undefined, error);
  }
  if (key.asymmetricKeyType !== "ed25519")
    throw refused(
      half,
      `it is of type ${key.asymmetricKeyType ?? "unknown"}`,
      "`microvm keygen` makes an Ed25519 pair.",
    );
  return key;
}

const refused = (half: Half, what: string, hint?: string, cause?: unknown): MicroVmError =>
  new MicroVmError("InvalidArgument", `The key is no Ed25519 ${half} key: ${what}.`, {
    ...(hint && { hint }),
    ...(cause !== undefined && { cause }),
  });
