/** Signed stores, built byte by byte after the format: accepted under their key, refused with any damage. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { createCRC32 } from "hash-wasm";
import { inspectRvf, readKernel } from "../../../src/rvf/index.js";
import type { Verification } from "../../../src/rvf/index.js";
import { bzImage, kernel, manifestPayload, rvf, scratch, vec, type Entry, type Part } from "../build.js";

const files = scratch();
const PAGE = 4096;
const shake = (bytes: Buffer): Buffer => createHash("shake256", { outputLength: 16 }).update(bytes).digest();
const policies: Verification[] = ["lenient", "strict", "signed"];

const owner = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519");
const pem = ({ publicKey }: { publicKey: KeyObject }): string =>
  publicKey.export({ format: "pem", type: "spki" }).toString();
const raw = ({ publicKey }: { publicKey: KeyObject }): Buffer =>
  publicKey.export({ format: "der", type: "spki" }).subarray(-32);

/** The file's id and that of its parent, and the depth. */
const identity = Buffer.concat([Buffer.alloc(16, 0x1d), Buffer.alloc(52)]);

async function seal(page: Buffer): Promise<Buffer> {
  const crc = (await createCRC32(0x82f63b78)).init().update(page.subarray(0, 0xffc)).digest("hex");
  page.writeUInt32LE(Number.parseInt(crc, 16), 0xffc);
  return page;
}

async function rootPage(offset: number, payload: Buffer): Promise<Buffer> {
  const page = Buffer.alloc(PAGE);
  page.write("0MVR", 0, "latin1");
  page.writeUInt16LE(1, 0x004);
  page.writeBigUInt64LE(BigInt(offset), 0x008);
  page.writeBigUInt64LE(BigInt(64 + payload.length), 0x010);
  page.writeBigUInt64LE(2n, 0x018);
  page.writeUInt16LE(4, 0x020);
  page.writeUInt32LE(1, 0x024);
  page.writeUInt16LE(1, 0x098);
  page.writeUInt16LE(64, 0x09a);
  identity.copy(page, 0xf00);
  shake(payload).copy(page, 0xfd0);
  shake(raw(owner)).copy(page, 0xfe0);
  page.writeBigUInt64LE(3n, 0xff0);
  sign(null, page, owner.privateKey).copy(page, 0x09c);
  return await seal(page);
}

interface Listed {
  id: bigint;
  hash: Buffer;
}

interface Changes {
  /** Changes the list of hashes before it is signed. */
  list?: (entries: Listed[]) => Listed[];
  /** The number of entries that the list says it has. */
  count?: number;
  kernel?: Part;
  /** Between the signed manifest and the page. */
  behind?: Buffer;
}

/** A store of vectors and a kernel, signed by the owner. */
async function signedStore({ list = (entries) => entries, count, behind, ...changes }: Changes = {}) {
  const body = await rvf(
    { ...vec(), checksum: "shake" },
    changes.kernel ?? { ...kernel(), checksum: "shake" },
  );
  const entries: Entry[] = [0, 128].map((offset, index) => ({
    id: BigInt(index + 1),
    offset,
    length: Number(body.readBigUInt64LE(offset + 0x10)),
    type: body.readUInt8(offset + 5),
  }));
  const listed = list(
    entries.map(({ id, offset }) => ({ id, hash: body.subarray(offset + 0x28, offset + 0x38) })),
  );
  const head = Buffer.alloc(8);
  head.write("SHDG", 0, "latin1");
  head.writeUInt32LE(count ?? listed.length, 4);
  const hashes = listed.map(({ id, hash }) => {
    const idBytes = Buffer.alloc(8);
    idBytes.writeBigUInt64LE(id);
    return Buffer.concat([idBytes, hash]);
  });
  const payload = Buffer.concat([
    manifestPayload({ entries }),
    Buffer.from("IDIF"),
    identity,
    head,
    ...hashes,
  ]);
  const manifest = await rvf({ type: 5, payload, id: 3n, checksum: "shake" });
  const page = await rootPage(body.length, payload);
  return Buffer.concat([body, manifest, behind ?? Buffer.alloc(0), page]);
}

const trusted = { trustedKeys: [pem(owner)] };

async function refused(bytes: Buffer): Promise<void> {
  const path = files.file(bytes, "damaged.rvf");
  for (const verification of policies)
    await expect(readKernel(path, { ...trusted, verification })).rejects.toMatchObject({
      code: expect.stringMatching(/^Kernel(Untrusted|Damaged)$/) as string,
    });
  expect((await inspectRvf(path, trusted)).integrity?.verdict).toBe("damaged");
}

test("a store signed by a trusted key is accepted under every policy", async () => {
  const path = files.file(await signedStore());
  for (const verification of policies) {
    const { integrity, image } = await readKernel(path, { ...trusted, verification });
    expect(integrity).toContain("signature of the store by trusted key");
    expect(image.size).toBe(bzImage().length);
  }
  expect(await inspectRvf(path, trusted)).toMatchObject({ integrity: { verdict: "signed" }, warnings: [] });
});

test("a stranger's key does not vouch for it", async () => {
  const path = files.file(await signedStore());
  const trustedKeys = [pem(stranger)];
  await expect(readKernel(path, { trustedKeys, verification: "signed" })).rejects.toMatchObject({
    code: "KernelUntrusted",
    message: expect.stringContaining(`store by key ${shake(raw(owner)).toString("hex")}`) as string,
  });
  await expect(readKernel(path, { trustedKeys, verification: "strict" })).rejects.toMatchObject({
    code: "KernelUntrusted",
  });
  expect((await inspectRvf(path, { trustedKeys })).integrity?.verdict).toBe("weak");
  await expect(readKernel(path, { verification: "signed" })).rejects.toMatchObject({
    code: "KernelUntrusted",
  });
});

describe("a changed root page", () => {
  const fields: [string, number][] = [
    ["version", 0x004],
    ["offset of the manifest", 0x008],
    ["length of the manifest", 0x010],
    ["number of vectors", 0x018],
    ["dimension", 0x020],
    ["epoch", 0x024],
    ["algorithm", 0x098],
    ["length of the signature", 0x09a],
    ["first byte of the signature", 0x09c],
    ["last byte of the signature", 0x0db],
    ["reserved bytes", 0x200],
    ["identity", 0xf00],
    ["hash of the manifest", 0xfd0],
    ["id of the manifest", 0xff0],
  ];
  /** The store with one bit of the page changed. */
  async function changed(at: number, value?: number): Promise<{ bytes: Buffer; page: Buffer }> {
    const bytes = await signedStore();
    const page = bytes.subarray(bytes.length - PAGE);
    page.writeUInt8(value ?? page.readUInt8(at) ^ 2, at);
    return { bytes, page };
  }

  test.each(fields)("%s", async (_, at) => {
    const { bytes, page } = await changed(at);
    await refused(bytes);
    await seal(page);
    await refused(bytes);
  });

  test("checksum", async () => await refused((await changed(0xffc)).bytes));

  test.each([
    ["no algorithm", 0x098, 0],
    ["no id of the manifest", 0xff0, 0],
    ["no magic", 0x000, 0],
  ])("%s", async (_, at, value) => {
    const { bytes, page } = await changed(at, value);
    await seal(page);
    await refused(bytes);
  });

  test("another signer named: nobody trusted signed it", async () => {
    const { bytes, page } = await changed(0xfe0);
    await refused(bytes);
    await seal(page);
    const path = files.file(bytes);
    await expect(readKernel(path, { ...trusted, verification: "signed" })).rejects.toMatchObject({
      code: "KernelUntrusted",
    });
    expect((await inspectRvf(path, trusted)).integrity?.verdict).toBe("weak");
  });

  test("cut off", async () => {
    const bytes = await signedStore();
    await refused(bytes.subarray(0, bytes.length - PAGE));
  });

  test("that of another store", async () => {
    const other = await signedStore({ kernel: { ...kernel({ cmdline: "other" }), checksum: "shake" } });
    const bytes = await signedStore();
    await refused(Buffer.concat([bytes.subarray(0, -PAGE), other.subarray(-PAGE)]));
  });
});

/** These are signed by the owner as they stand: only the list can tell. */
test.each<[string, Changes]>([
  ["without the kernel's hash", { list: (entries) => entries.slice(0, 1) }],
  ["without any hash", { list: () => [] }],
  ["with the kernel's hash twice", { list: (entries) => [...entries, ...entries.slice(1)] }],
  [
    "with two hashes for the kernel",
    { list: (entries) => [...entries, { id: 2n, hash: Buffer.alloc(16, 1) }] },
  ],
  [
    "with a wrong hash for the kernel",
    { list: ([first]) => [first!, { id: 2n, hash: Buffer.alloc(16, 1) }] },
  ],
  ["with fewer hashes than it says", { count: 3 }],
  ["with more hashes than it says", { count: 1 }],
  ["with a count of 2^32 - 1", { count: 2 ** 32 - 1 }],
  ["of a kernel hashed in another way", { kernel: { ...kernel(), checksum: "xxh3" } }],
])("a signed list %s vouches for nothing", async (_, changes) => {
  await refused(await signedStore(changes));
});

test("a segment behind the signed manifest", async () => {
  await refused(
    await signedStore({ behind: await rvf({ type: 0x0a, payload: Buffer.alloc(64, 1), id: 4n }) }),
  );
});

test("a kernel of other content, its own hash made right", async () => {
  const bytes = await signedStore();
  const [start, length] = [128 + 64, Number(bytes.readBigUInt64LE(128 + 0x10))];
  // What no image hash covers: the header's wish for memory.
  bytes.writeUInt32LE(4096, start + 0x0c);
  await refused(bytes);
  shake(bytes.subarray(start, start + length)).copy(bytes, 128 + 0x28);
  await refused(bytes);
});
