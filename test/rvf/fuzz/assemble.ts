/** Writes a model's bytes, and says what a reader may make of them. */
import { createHash } from "node:crypto";
import { bzImage, elf, fold, kernel, manifestPayload, rvf, type Entry } from "../build.js";
import type { Body, FileModel, KernelModel, ManifestModel, SegmentModel } from "./model.js";
import { rootPage } from "./root-page.js";

export interface Expectation {
  /** The one image that must come out: the file is intact. */
  must?: Buffer;
  /** The images that may come out, if any does; without it, all that the file holds. */
  allowed?: Buffer[];
  /** Images of stores within a kernel's image: never this file's kernel. */
  forbidden: Buffer[];
  /** Where the newest kernel's segment stands: damage in there must not bring out an older one. */
  newest?: { start: number; end: number };
}

export interface Assembled {
  bytes: Buffer;
  expectation: Expectation;
}

const typeNumbers = { vec: 0x01, journal: 0x04, manifest: 0x05, witness: 0x0a, kernel: 0x0e, unknown: 0x77 };

interface Placed {
  model: SegmentModel;
  entry: Entry;
  /** What a kernel segment's image is before compression. */
  image?: Buffer;
  directory?: Entry[];
}

export async function assemble({ segments, rootPage: withRootPage, tail }: FileModel): Promise<Assembled> {
  let bytes: Buffer = Buffer.alloc(0);
  const placed: Placed[] = [];
  const forbidden: Buffer[] = [];
  for (const [index, model] of segments.entries()) {
    const offset = bytes.length;
    const id = { next: BigInt(index + 1), same: 1n, zero: 0n, highest: 2n ** 64n - 1n }[model.id];
    const entries = placed.map(({ entry }) => entry);
    const { payload, ...made } = await payloadOf(model.body, { offset, id, ordinal: index, entries });
    const whole = model.footer ? Buffer.concat([payload, signatureFooter]) : payload;
    const type = typeNumbers[model.body.kind];
    if (made.nested) forbidden.push(made.nested);
    placed.push({ model, entry: { id, offset, length: whole.length, type }, ...made });
    const segment = await segmentBytes(model, { type, id, payload: whole });
    const end = offset + segment.length;
    bytes = Buffer.concat([bytes, segment, Buffer.alloc(model.dialect === "wire" ? -end & 63 : 0)]);
  }
  const expectation = { ...expected(placed, withRootPage || tail !== "none"), forbidden };
  if (withRootPage) bytes = Buffer.concat([bytes, await rootPage(placed.findLast(isManifest)?.entry, bytes)]);
  return { bytes: withTail(bytes, tail), expectation };
}

const isManifest = ({ model }: Placed): boolean => model.body.kind === "manifest";

const signatureFooter = Buffer.concat([
  Buffer.from([0, 0, 64, 0]),
  Buffer.alloc(64, 0x5a),
  Buffer.from([72, 0, 0, 0]),
]);

async function segmentBytes(
  { checksum, wrongHash, flags }: SegmentModel,
  segment: { type: number; id: bigint; payload: Buffer },
): Promise<Buffer> {
  return await rvf({
    ...segment,
    checksum,
    padded: false,
    damage: (bytes) => {
      bytes.writeUInt16LE(flags, 6);
      if (wrongHash) bytes.writeUInt8(bytes.readUInt8(0x30) ^ 1, 0x30);
    },
  });
}

function withTail(bytes: Buffer, tail: FileModel["tail"]): Buffer {
  if (tail === "zeros") return Buffer.concat([bytes, Buffer.alloc(5000)]);
  if (tail === "garbage") return Buffer.concat([bytes, Buffer.from("garbage".repeat(9))]);
  return tail === "torn" ? bytes.subarray(0, Math.max(0, bytes.length - 70)) : bytes;
}

interface Place {
  offset: number;
  id: bigint;
  ordinal: number;
  entries: Entry[];
}

type Payload = Pick<Placed, "image" | "directory"> & { payload: Buffer; nested?: Buffer };

async function payloadOf(body: Body, place: Place): Promise<Payload> {
  if (body.kind === "kernel") return await kernelPayload(body, place);
  if (body.kind !== "manifest") return { payload: Buffer.alloc(body.length, 0x30 + place.ordinal) };
  const directory = directoryOf(body, place);
  const payload = manifestPayload({
    entries: directory,
    epoch: place.ordinal,
    deleted: Array.from({ length: body.deleted }, (_, id) => BigInt(id)),
  });
  if (body.directory === "countless") payload.writeUInt32LE(0xffffffff, 14);
  return { payload, directory };
}

async function kernelPayload(model: KernelModel, { offset, ordinal }: Place): Promise<Payload> {
  const { image, nested } = await imageOf(model, ordinal, offset);
  const stored = model.compression === "zstd" ? zstdFrame(image) : image;
  const hash = {
    fold: () => fold(image),
    sha3: () => createHash("sha3-256").update(image).digest(),
    shake: () => createHash("shake256", { outputLength: 32 }).update(image).digest(),
    wrong: () => Buffer.alloc(32, 0xee),
    unset: () => Buffer.alloc(32),
  }[model.imageHash]();
  const { payload } = kernel({
    image: stored,
    cmdline: model.cmdline,
    layout: model.layout,
    imageHash: hash,
    header: (bytes) => {
      bytes.writeBigUInt64LE(BigInt(image.length), 0x18);
      bytes.writeUInt8({ none: 0, zstd: 2, unknown: 9 }[model.compression], 0x28);
    },
  });
  // A binding's version is 1, and the fields behind it are zero.
  if (model.layout === "binding-cmdline-image") payload.fill(0, 192, 256).writeUInt16LE(1, 192);
  return { payload, image, ...(nested && { nested }) };
}

/** One zstd frame of one raw block, which is as good as a compressed one to a reader and takes no compressor. */
function zstdFrame(image: Buffer): Buffer {
  const SINGLE_SEGMENT_WITH_SIZE = 0xa0;
  const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, SINGLE_SEGMENT_WITH_SIZE, 0, 0, 0, 0, 0, 0, 0]);
  frame.writeUInt32LE(image.length, 5);
  const lastRawBlock = 1 + image.length * 8;
  frame.writeUIntLE(lastRawBlock, 9, 3);
  return Buffer.concat([frame, image]);
}

/** No two segments' images are alike, so that it can be told which one came out. */
async function imageOf(
  { image, behindNested, layout, cmdline }: KernelModel,
  ordinal: number,
  offset: number,
): Promise<{ image: Buffer; nested?: Buffer }> {
  const own = Buffer.from([ordinal, 0xa5, ordinal, 0x5a]);
  if (image === "bytes") return { image: Buffer.concat([own, Buffer.alloc(ordinal, 7)]) };
  if (image === "elf") return { image: Buffer.concat([elf(), own]) };
  if (image === "bzImage") return { image: bzImage(0x40 + ordinal) };
  if (image === "bzImage+initramfs")
    return { image: Buffer.concat([bzImage(0x40 + ordinal), Buffer.from("070701" + "0".repeat(90)), own]) };
  // The store within names its segments by where they stand in the outer file: it is as convincing as can be.
  const nested = Buffer.concat([Buffer.from("nested"), own]);
  const beforeImage =
    64 + 128 + { "image-cmdline": 0, "binding-cmdline-image": 128 + cmdline.length }[layout as string]!;
  const base = offset + (Number.isNaN(beforeImage) ? 192 : beforeImage) + 2048;
  const inner = kernel({ image: nested });
  const directory = [{ id: 1n, offset: base, length: inner.payload.length, type: 0x0e }];
  const store = await rvf(inner, { manifest: { entries: directory } });
  const outer = [bzImage(0x40 + ordinal), store, Buffer.alloc(behindNested)];
  return { image: Buffer.concat(outer), nested };
}

function directoryOf({ directory }: ManifestModel, { entries, offset, id }: Place): Entry[] {
  const own = { id, offset, length: 26 + 25 * entries.length, type: 5 };
  switch (directory) {
    case "reversed":
      return entries.toReversed();
    case "repeated":
      return entries.flatMap((entry) => [entry, entry, entry]);
    case "without-last":
      return entries.slice(0, -1);
    case "itself":
      return [...entries, { ...own, length: own.length + 25 }];
    case "later":
      return [...entries, { ...own, id: BigInt.asUintN(64, id + 1n), offset: offset + 4096, type: 0x0e }];
    case "outside":
      return [...entries, { ...own, id: 99n, offset: 2 ** 53 - 64, length: 2 ** 53, type: 0x0e }];
    case "exchanged":
      return entries.map((entry, index) => ({ ...entry, offset: entries.at(index - 1)!.offset }));
    case "empty":
      return [];
    case "faithful":
    case "countless":
      return entries;
  }
}

/** Knows only what is beyond doubt; where a reader could see it in two ways, nothing is expected. */
function expected(placed: Placed[], moreBehind: boolean): Omit<Expectation, "forbidden"> {
  const last = placed.findLast(isManifest);
  const states = placed.filter(({ model }) => model.body.kind === "manifest").map(({ model }) => model);
  const honest = new Set(["faithful", "reversed", "repeated", "without-last", "empty"]);
  const sane = placed.every(({ model }) => model.id === "next" && !model.footer && model.flags === 0);
  if (!last?.directory || !sane || last.model.wrongHash) return {};
  if (!states.every(({ body }) => body.kind === "manifest" && honest.has(body.directory))) return {};

  const id = last.directory
    .filter(({ type }) => type === 0x0e)
    .reduce((most, entry) => (entry.id > most ? entry.id : most), 0n);
  const newest = placed.find(({ entry }) => entry.id === id && id > 0n);
  if (!newest?.image || newest.model.body.kind !== "kernel") return moreBehind ? {} : { allowed: [] };
  const { image, model, entry } = newest;
  const span = { start: entry.offset, end: entry.offset + 64 + entry.length };
  const { imageHash, compression, cmdline, layout } = newest.model.body;
  if (model.wrongHash || imageHash === "wrong" || compression === "unknown")
    return { allowed: [], newest: span };

  const lastIsEnd = placed.at(-1) === last;
  // A footer that no key made may be refused.
  const plain =
    layout !== "adr030-signed" &&
    compression === "none" &&
    imageHash !== "unset" &&
    !/\n|^x{2048}$/.test(cmdline);
  const simple = placed.every((each) => !each.model.wrongHash && each.model.checksum !== "unset");
  const must =
    plain &&
    simple &&
    lastIsEnd &&
    !moreBehind &&
    last.model.body.kind === "manifest" &&
    honestLast(last.model);
  return { allowed: [image], newest: span, ...(must && { must: image }) };
}

const honestLast = ({ body }: SegmentModel): boolean =>
  body.kind === "manifest" && (body.directory === "faithful" || body.directory === "reversed");
