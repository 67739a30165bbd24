/** Makes RVF files and kernel images byte by byte, after the format's description and without the code under test. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { xxhash128 } from "hash-wasm";

/** A folder that lives as long as the test file that asks for it. */
export function scratch(): { dir: string; file: (bytes: Uint8Array, name?: string) => string } {
  const dir = mkdtempSync(join(tmpdir(), "microvm-rvf-"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  let count = 0;
  return {
    dir,
    file: (bytes, name = `${count++}.rvf`) => {
      const path = join(dir, name);
      writeFileSync(path, bytes);
      return path;
    },
  };
}

/** How a segment is written: with which checksum, and padded (wire) or not (legacy). */
export type Checksum = "crc" | "xxh3" | "xxh3-as-0" | "shake" | "unset";

async function contentHash(payload: Buffer, checksum: Checksum): Promise<Buffer> {
  if (checksum === "unset") return Buffer.alloc(16);
  if (checksum === "shake") return createHash("shake256", { outputLength: 16 }).update(payload).digest();
  if (checksum !== "crc") return Buffer.from(await xxhash128(payload), "hex").reverse();
  const words = Buffer.alloc(16);
  const crc = BigInt(crc32(payload));
  for (let word = 0; word < 4; word++) {
    const doubled = (crc << 32n) | crc;
    words.writeUInt32LE(Number((doubled >> BigInt((32 - 8 * word) % 32)) & 0xffffffffn), 4 * word);
  }
  return words;
}

export interface SegmentSpec {
  type: number;
  payload: Buffer;
  id?: bigint;
  checksum?: Checksum;
  /** Filled up with zeros to the file's next 64-byte boundary. */
  padded?: boolean;
  /** Sets the flag SIGNED and puts this behind the payload, made from the header. */
  footer?: (header: Buffer) => Buffer;
  /** Changes the finished bytes: header, payload and padding. */
  damage?: (bytes: Buffer) => unknown;
}

async function segment(spec: SegmentSpec & { id: bigint }, offset: number): Promise<Buffer> {
  const { type, payload, id, checksum = "xxh3", padded = true, damage, footer } = spec;
  const header = Buffer.alloc(64);
  header.write("SFVR", 0, "latin1");
  header.writeUInt8(1, 4);
  header.writeUInt8(type, 5);
  header.writeBigUInt64LE(id, 8);
  header.writeBigUInt64LE(BigInt(payload.length), 16);
  header.writeUInt8({ crc: 0, xxh3: 1, "xxh3-as-0": 0, shake: 2, unset: 1 }[checksum], 0x20);
  (await contentHash(payload, checksum)).copy(header, 0x28);
  if (footer) header.writeUInt16LE(4, 6);
  const signed = Buffer.concat([payload, footer?.(header) ?? Buffer.alloc(0)]);
  const padding = Buffer.alloc(padded ? (64 - ((offset + signed.length) % 64)) % 64 : 0);
  const bytes = Buffer.concat([header, signed, padding]);
  damage?.(bytes);
  return bytes;
}

export interface Entry {
  id: bigint;
  offset: number;
  length: number;
  type: number;
}

export interface ManifestSpec {
  entries: Entry[];
  epoch?: number;
  dimension?: number;
  totalVectors?: bigint;
  deleted?: bigint[];
}

export function manifestPayload(spec: ManifestSpec): Buffer {
  const { entries, epoch = 1, dimension = 4, totalVectors = 2n, deleted = [] } = spec;
  const fixed = Buffer.alloc(22);
  fixed.writeUInt32LE(epoch, 0);
  fixed.writeUInt16LE(dimension, 4);
  fixed.writeBigUInt64LE(totalVectors, 6);
  fixed.writeUInt32LE(entries.length, 14);
  const directory = entries.map(({ id, offset, length, type }) => {
    const entry = Buffer.alloc(25);
    entry.writeBigUInt64LE(id, 0);
    entry.writeBigUInt64LE(BigInt(offset), 8);
    entry.writeBigUInt64LE(BigInt(length), 16);
    entry.writeUInt8(type, 24);
    return entry;
  });
  const ids = Buffer.alloc(4 + 8 * deleted.length);
  ids.writeUInt32LE(deleted.length, 0);
  deleted.forEach((id, index) => ids.writeBigUInt64LE(id, 4 + 8 * index));
  return Buffer.concat([fixed, ...directory, ids]);
}

/** A manifest within a list of segments: it names the segments before it, unless told otherwise. */
export type Part = SegmentSpec | ({ manifest: Partial<ManifestSpec> } & Partial<SegmentSpec>);

/** A whole file of segments numbered from 1. */
export async function rvf(...parts: Part[]): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  const entries: Entry[] = [];
  for (const [index, part] of parts.entries()) {
    const type = part.type ?? 5;
    const payload =
      "manifest" in part ? manifestPayload({ entries: [...entries], ...part.manifest }) : part.payload;
    const id = part.id ?? BigInt(index + 1);
    const { length: offset } = bytes;
    bytes = Buffer.concat([bytes, await segment({ ...part, type, payload, id }, offset)]);
    entries.push({ id, offset, length: payload.length, type });
  }
  return bytes;
}

export const vec = (length = 54): SegmentSpec => ({ type: 1, payload: Buffer.alloc(length, 0x11) });
export const witness: SegmentSpec = { type: 0x0a, payload: Buffer.alloc(67, 0x22) };
export const manifest: Part = { manifest: {} };

export function fold(image: Buffer): Buffer {
  const out = Buffer.alloc(32);
  image.forEach((byte, index) => {
    const here = index % 32;
    const there = (index + 13) % 32;
    out[here] = ((out[here] ?? 0) + byte) % 256;
    const value = out[here] ?? 0;
    out[there] = ((out[there] ?? 0) + (((value * 8) % 256) + Math.floor(value / 32))) % 256;
  });
  return out;
}

export interface KernelSpec {
  image?: Buffer;
  cmdline?: string | Buffer;
  layout?: "image-cmdline" | "binding-cmdline-image" | "adr030" | "adr030-signed";
  imageHash?: Buffer;
  /** The 128 bytes of a KernelBinding. */
  binding?: Buffer;
  /** Signs what ADR-030 says is signed; without it the signature is false. */
  sign?: (message: Buffer) => Buffer;
  /** Changes the finished 128-byte header. */
  header?: (bytes: Buffer) => unknown;
}

/** A well-formed KernelBinding. */
export function binding(): Buffer {
  const bytes = Buffer.alloc(128);
  bytes.fill(0xaa, 0, 0x20).fill(0xbb, 0x20, 0x40);
  bytes.writeUInt16LE(1, 0x40);
  return bytes;
}

/** A SignatureFooter of an Ed25519 signature. */
export function signatureFooter(signature: Buffer = Buffer.alloc(64, 3)): Buffer {
  const footer = Buffer.alloc(72);
  footer.writeUInt16LE(64, 2);
  signature.copy(footer, 4);
  footer.writeUInt32LE(72, 68);
  return footer;
}

/** A kernel segment as rvf-runtime writes it, or in one of the other layouts. */
export function kernel(spec: KernelSpec = {}): SegmentSpec {
  const { image = bzImage(), layout = "image-cmdline" } = spec;
  const cmdline = Buffer.from(spec.cmdline ?? "");
  const header = Buffer.alloc(128);
  header.write("NKVR", 0, "latin1");
  header.writeUInt16LE(1, 4);
  header.writeUInt8(1, 7);
  header.writeBigUInt64LE(BigInt(image.length), 0x18);
  header.writeBigUInt64LE(BigInt(image.length), 0x20);
  header.writeUInt16BE(8080, 0x2a);
  (spec.imageHash ?? fold(image)).copy(header, 0x30);
  header.writeBigUInt64LE(layout === "binding-cmdline-image" ? 256n : 128n, 0x70);
  header.writeUInt32LE(cmdline.length, 0x78);
  spec.header?.(header);

  const terminated = Buffer.alloc(cmdline.length === 0 ? 0 : Math.ceil((cmdline.length + 1) / 8) * 8);
  cmdline.copy(terminated);
  const payload = {
    "image-cmdline": [header, image, cmdline],
    "binding-cmdline-image": [header, spec.binding ?? binding(), cmdline, image],
    adr030: [header, terminated, image],
    "adr030-signed": [
      header,
      terminated,
      image,
      signatureFooter(spec.sign?.(Buffer.concat([header, cmdline, image]))),
    ],
  }[layout];
  return { type: 0x0e, payload: Buffer.concat(payload) };
}

/** The smallest thing that is a bzImage by its setup header: two sectors of setup, 64 units of 16 bytes of kernel. */
export function bzImage(fill = 0x90): Buffer {
  const image = Buffer.alloc(2 * 512 + 64 * 16, fill);
  image.fill(0, 0x1f1, 0x240);
  image.writeUInt8(1, 0x1f1);
  image.writeUInt32LE(64, 0x1f4);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write("HdrS", 0x202, "latin1");
  image.writeUInt16LE(0x020f, 0x206);
  return image;
}

/** A WIN_CERTIFICATE of `length` bytes, padded to 8 as it stands in a file. */
export function certificate(length: number): Buffer {
  const bytes = Buffer.alloc(Math.ceil(length / 8) * 8, 0);
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(0x0200, 4);
  bytes.writeUInt16LE(2, 6);
  return bytes.fill(0xce, 8, length);
}

/** An ELF of 64 or 32 bits with one note segment. */
export function elf({ machine = 62, bits = 64, note = 18, name = "Xen\0" } = {}): Buffer {
  const wide = bits === 64;
  const image = Buffer.alloc(512);
  image.write("\x7fELF", 0, "latin1");
  image.writeUInt8(wide ? 2 : 1, 4);
  image.writeUInt8(1, 5);
  image.writeUInt16LE(machine, 0x12);
  image.writeUInt32LE(128, wide ? 0x20 : 0x1c);
  image.writeUInt16LE(wide ? 56 : 32, wide ? 0x36 : 0x2a);
  image.writeUInt16LE(1, wide ? 0x38 : 0x2c);
  image.writeUInt32LE(4, 128);
  image.writeUInt32LE(256, 128 + (wide ? 8 : 4));
  image.writeUInt32LE(64, 128 + (wide ? 0x20 : 0x10));
  // One note of another kind before the one that counts.
  image.writeUInt32LE(4, 256);
  image.writeUInt32LE(6, 260);
  image.writeUInt32LE(1, 264);
  image.write("GNU\0", 268, "latin1");
  image.writeUInt32LE(name.length, 280);
  image.writeUInt32LE(4, 284);
  image.writeUInt32LE(note, 288);
  image.write(name, 292, "latin1");
  return image;
}
