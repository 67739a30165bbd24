/** Whatever the bytes: a report or a MicroVmError, in bounded time and memory. */
import fc from "fast-check";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MicroVmError } from "../../src/errors.js";
import { inspectImage, inspectRvf, readKernel } from "../../src/rvf/index.js";
import { bzImage, certificate, elf, kernel, manifest, rvf, scratch, vec, witness } from "./build.js";

const files = scratch();
const path = join(files.dir, "fuzzed");

async function survives(bytes: Buffer): Promise<void> {
  writeFileSync(path, bytes);
  for (const read of [inspectRvf, readKernel, inspectImage]) {
    try {
      JSON.stringify(await read(path));
    } catch (error) {
      if (!(error instanceof MicroVmError)) throw error;
    }
  }
}

const subjects = async (): Promise<Buffer[]> => {
  const image = Buffer.concat([bzImage(), certificate(40), Buffer.from("070701" + "0".repeat(90))]);
  return [
    await rvf(manifest, vec(), kernel({ image, cmdline: "quiet" }), manifest, witness),
    await rvf(
      ...[manifest, kernel({ image: elf(), layout: "binding-cmdline-image", cmdline: "a" }), manifest].map(
        (part) => ({
          ...part,
          checksum: "crc" as const,
          padded: false,
        }),
      ),
    ),
    await rvf(
      { ...kernel({ layout: "adr030-signed", cmdline: "b" }), checksum: "unset" },
      { ...manifest, checksum: "unset" },
    ),
  ];
};
const bounded = { numRuns: 80, interruptAfterTimeLimit: 20_000 };

test("files cut at any byte", async () => {
  for (const subject of await subjects())
    for (let length = 0; length < subject.length; length += length < 200 ? 3 : 101)
      await survives(subject.subarray(0, length));
}, 60_000);

test("files with bytes changed", async () => {
  const all = await subjects();
  const change = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.nat(all.length - 1),
      fc.array(change, { minLength: 1, maxLength: 6 }),
      async (which, changes) => {
        const bytes = Buffer.from(all[which] ?? Buffer.alloc(0));
        for (const { at, byte } of changes) bytes.writeUInt8(byte, at % bytes.length);
        await survives(bytes);
      },
    ),
    bounded,
  );
}, 60_000);

test("headers with extreme numbers, hashes not set", async () => {
  const extreme = fc.constantFrom(
    0n,
    1n,
    63n,
    255n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 53n,
    2n ** 63n,
    2n ** 64n - 1n,
  );
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 15 }),
      extreme,
      fc.boolean(),
      async (word, value, inKernel) => {
        const part = kernel({ cmdline: "quiet", imageHash: Buffer.alloc(32) });
        const damage = (bytes: Buffer): unknown =>
          bytes.writeBigUInt64LE(value, (inKernel ? 64 : 0) + 8 * (word % (inKernel ? 16 : 8)));
        await survives(await rvf(vec(), { ...part, checksum: "unset", damage }, manifest));
        await survives(
          await rvf(vec(), part, {
            ...manifest,
            checksum: "unset",
            damage: (bytes) => bytes.writeBigUInt64LE(value, 64 + word),
          }),
        );
      },
    ),
    bounded,
  );
}, 60_000);

test("garbage, with and without magics in it", async () => {
  const magic = fc
    .constantFrom("SFVR\x01\x05", "SFVR\x01\x0e", "NKVR", "\x7fELF\x02\x01", "MZ", "0MVR")
    .map((text) => Buffer.from(text, "latin1"));
  const piece = fc.oneof(
    magic,
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), (pieces) => survives(Buffer.concat(pieces))),
    bounded,
  );
}, 60_000);
