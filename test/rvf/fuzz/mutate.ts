/** Changes to finished bytes, aimed at the fields of the format. Positions are shares of what there is, so they shrink. */
import fc from "fast-check";
import { rvf, type Checksum } from "../build.js";

/** `at`, `to`, `from` are taken modulo the number of fields or bytes there are. */
export type Mutation =
  | { kind: "set"; at: number; value: bigint }
  | { kind: "add"; at: number; value: bigint }
  | { kind: "size"; at: number; value: bigint }
  | { kind: "swap"; at: number; from: number }
  | { kind: "byte"; at: number; value: bigint }
  | { kind: "write"; at: number; text: string }
  | { kind: "cut"; at: number }
  | { kind: "copy"; at: number; from: number; length: number }
  | { kind: "remove"; at: number; length: number }
  | { kind: "append"; byte: number; length: number };

const at = fc.nat(100_000);
const around = [0n, 2n ** 8n, 2n ** 16n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n];
const extreme = fc
  .tuple(fc.constantFrom(...around), fc.constantFrom(0n, 1n, -1n, 64n, -64n, -128n, 2n))
  .map(([value, more]) => BigInt.asUintN(64, value + more));
const little = fc.constantFrom(1n, -1n, 8n, -8n, 25n, 64n, -64n, 72n, 128n);
const magics = [
  "SFVR\x01\x05",
  "SFVR\x01\x0e",
  "SFVR\x02",
  "NKVR",
  "0MVR",
  "\x7fELF\x02\x01",
  "MZ",
  "HdrS",
  "IDIF",
  "SHDG",
];

export const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("set"), at, value: extreme }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("add"), at, value: little }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("size"), at, value: little }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("swap"), at, from: at }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("byte"), at, value: fc.bigInt(0n, 255n) }) },
  fc.record({ kind: fc.constant("write"), at, text: fc.constantFrom(...magics) }),
  fc.record({ kind: fc.constant("cut"), at }),
  fc.record({ kind: fc.constant("copy"), at, from: at, length: fc.nat(600) }),
  fc.record({ kind: fc.constant("remove"), at, length: fc.nat(200) }),
  fc.record({ kind: fc.constant("append"), byte: fc.constantFrom(0, 0x53, 0xff), length: fc.nat(5000) }),
);

/** The changed bytes, and the span that was changed in place; without one the file's parts have moved. */
export function mutate(
  bytes: Buffer,
  change: Mutation,
): { bytes: Buffer; span?: [from: number, to: number] } {
  const place = (wanted: number): number => (bytes.length === 0 ? 0 : wanted % bytes.length);
  switch (change.kind) {
    case "set":
      return setField(bytes, change.at, () => change.value);
    case "add":
      return setField(bytes, change.at, (old) => old + change.value);
    case "size":
      return setField(bytes, change.at, () => BigInt(bytes.length) + change.value);
    case "swap": {
      const fields = fieldsOf(bytes);
      const from = fields[change.from % fields.length];
      return setField(bytes, change.at, (old) => (from ? readField(bytes, from) : old));
    }
    case "byte":
    case "write": {
      const text =
        change.kind === "write" ? Buffer.from(change.text, "latin1") : Buffer.from([Number(change.value)]);
      const start = place(change.at);
      const changed = Buffer.from(bytes);
      return { bytes: changed, span: [start, start + text.copy(changed, start)] };
    }
    case "cut":
      return { bytes: bytes.subarray(0, place(change.at)) };
    case "copy": {
      const from = place(change.from);
      const [start, block] = [place(change.at), bytes.subarray(from, from + change.length)];
      return { bytes: Buffer.concat([bytes.subarray(0, start), block, bytes.subarray(start)]) };
    }
    case "remove": {
      const start = place(change.at);
      return { bytes: Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + change.length)]) };
    }
    case "append":
      return { bytes: Buffer.concat([bytes, Buffer.alloc(change.length, change.byte)]) };
  }
}

type Field = [offset: number, bytes: number];

/** Offset within the structure and width of each field, by the structure's magic. */
const structures: [magic: string, fields: Field[]][] = [
  [
    "SFVR",
    [
      [0, 4],
      [4, 1],
      [5, 1],
      [6, 2],
      [8, 8],
      [0x10, 8],
      [0x18, 8],
      [0x20, 1],
      [0x21, 1],
      [0x28, 8],
      [0x38, 4],
    ],
  ],
  [
    "NKVR",
    [
      ...([
        [0, 4],
        [4, 2],
        [6, 1],
        [7, 1],
        [8, 4],
        [0xc, 4],
        [0x10, 8],
        [0x18, 8],
        [0x20, 8],
        [0x28, 1],
      ] as Field[]),
      ...([
        [0x29, 1],
        [0x2a, 2],
        [0x30, 8],
        [0x68, 4],
        [0x70, 8],
        [0x78, 4],
        [0xc0, 2],
        [0xc2, 2],
      ] as Field[]),
    ],
  ],
  [
    "0MVR",
    [
      [0, 4],
      [4, 2],
      [8, 8],
      [0x10, 8],
      [0x98, 2],
      [0x9a, 2],
      [0xfd0, 8],
      [0xff0, 8],
      [0xffc, 4],
    ],
  ],
  [
    "SHDG",
    [
      [4, 4],
      [8, 8],
      [0x10, 8],
    ],
  ],
  [
    "HdrS",
    [
      [-0x11, 1],
      [-0xe, 4],
      [-4, 2],
      [4, 2],
    ],
  ],
  [
    "\x7fELF",
    [
      [4, 1],
      [0x12, 2],
      [0x20, 8],
      [0x36, 2],
      [0x38, 2],
      [128, 4],
      [136, 8],
      [160, 8],
      [256, 4],
      [260, 4],
    ],
  ],
];
const manifestFields: Field[] = [
  [0, 4],
  [4, 2],
  [6, 8],
  [14, 4],
  [14, 1],
  [18, 1],
  [19, 1],
];
const entryFields: Field[] = [
  [0, 8],
  [8, 8],
  [16, 8],
  [24, 1],
];

export function fieldsOf(bytes: Buffer): Field[] {
  const found: Field[] = [];
  for (const [magic, fields] of structures)
    for (const start of places(bytes, magic)) {
      found.push(...fields.map(([offset, width]): Field => [start + offset, width]));
      if (magic === "SFVR" && bytes[start + 5] === 5) found.push(...fieldsOfManifest(bytes, start + 64));
    }
  return found.filter(([offset, width]) => offset >= 0 && offset + width <= bytes.length);
}

function fieldsOfManifest(bytes: Buffer, start: number): Field[] {
  const count = start + 18 <= bytes.length ? Math.min(bytes.readUInt32LE(start + 14), 16) : 0;
  const starts = Array.from({ length: count }, (_, index) => 22 + 25 * index);
  const fields = starts.flatMap((entry) =>
    entryFields.map(([offset, width]): Field => [entry + offset, width]),
  );
  const behind: Field[] = [
    [22 + 25 * count, 4],
    [26 + 25 * count, 8],
  ];
  return [...manifestFields, ...fields, ...behind].map(([offset, width]) => [start + offset, width]);
}

export function places(bytes: Buffer, text: string): number[] {
  const found: number[] = [];
  for (
    let start = bytes.indexOf(text, 0, "latin1");
    start >= 0;
    start = bytes.indexOf(text, start + 1, "latin1")
  )
    found.push(start);
  return found;
}

const readField = (bytes: Buffer, [offset, width]: Field): bigint =>
  bytes.subarray(offset, offset + width).reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);

function setField(
  bytes: Buffer,
  which: number,
  to: (old: bigint) => bigint,
): { bytes: Buffer; span?: [number, number] } {
  const fields = fieldsOf(bytes);
  const field = fields[which % fields.length];
  if (!field) return { bytes };
  const changed = Buffer.from(bytes);
  let rest = BigInt.asUintN(64, to(readField(bytes, field)));
  for (let index = 0; index < field[1]; index++, rest >>= 8n)
    changed.writeUInt8(Number(rest & 255n), field[0] + index);
  return { bytes: changed, span: [field[0], field[0] + field[1]] };
}

/** Makes the hashes of changed segments right again, or takes them away: else a hash hides all that lies behind it. */
export async function repair(bytes: Buffer, how: "unset" | "rehash"): Promise<Buffer> {
  const repaired = Buffer.from(bytes);
  if (how === "unset")
    for (const start of places(repaired, "NKVR"))
      repaired.fill(0, start + 0x30, Math.min(start + 0x50, repaired.length));
  for (const start of places(repaired, "SFVR").filter((each) => each + 64 <= repaired.length)) {
    repaired.fill(0, start + 0x28, start + 0x38);
    const length = repaired.readBigUInt64LE(start + 0x10);
    if (how === "unset" || length > BigInt(repaired.length - start - 64)) continue;
    const checksum = checksums[repaired.readUInt8(start + 0x20)] ?? "unset";
    const payload = repaired.subarray(start + 64, start + 64 + Number(length));
    (await rvf({ type: 1, payload, checksum })).copy(repaired, start + 0x28, 0x28, 0x38);
  }
  return repaired;
}

const checksums: Readonly<Record<number, Checksum>> = { 0: "crc", 1: "xxh3", 2: "shake" };
