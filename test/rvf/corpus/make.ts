/**
 * Makes the seed files of this folder anew: `RVF_CLI_BIN=.../rvf node --import tsx test/rvf/corpus/make.ts`. The real
 * writers put random ids into their files, so the bytes differ each time.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import rvfNode from "@ruvector/rvf-node";
import { fromRepository } from "../../../tools/setup/repository.js";
import { bzImage, certificate, elf, kernel, manifest, rvf, signatureFooter, vec, witness } from "../build.js";
import type { Part } from "../build.js";
import { assemble } from "../fuzz/assemble.js";
import type { FileModel, KernelModel, SegmentModel } from "../fuzz/model.js";

const MAX_BYTES = 8 * 1024;
const work = mkdtempSync(join(tmpdir(), "microvm-corpus-"));
const corpusFile = (name: string): string => fromRepository(`test/rvf/corpus/${name}.rvf`);

const legacy = (part: Part): Part => ({ ...part, checksum: "crc", padded: false });
const appended = Buffer.concat([bzImage(), certificate(40), Buffer.from("070701" + "0".repeat(90))]);
const small = Buffer.from("a small image");
const sha3 = createHash("sha3-256").update(small).digest();

async function assembled(): Promise<void> {
  const files: Record<string, Part[]> = {
    "wire-image-cmdline": [manifest, vec(), kernel({ image: appended, cmdline: "quiet" }), manifest, witness],
    "wire-adr030": [kernel({ image: small, imageHash: sha3, layout: "adr030", cmdline: "b" }), manifest],
    "wire-adr030-signed": [kernel({ image: small, layout: "adr030-signed", cmdline: "b" }), manifest],
    "legacy-binding-elf": [
      manifest,
      kernel({ image: elf(), layout: "binding-cmdline-image", cmdline: "a" }),
      manifest,
    ].map(legacy),
    "mixed-two-kernels": [
      legacy(kernel({ image: small, cmdline: "older" })),
      { ...legacy(manifest), padded: true },
      kernel({ image: elf(), cmdline: "newer" }),
      manifest,
    ],
    "no-hashes": [vec(), kernel({ imageHash: Buffer.alloc(32) }), manifest].map((part) => ({
      ...part,
      checksum: "unset",
    })),
  };
  for (const [name, parts] of Object.entries(files)) writeFileSync(corpusFile(name), await rvf(...parts));
}

/** Kinds that only the fuzzer's own assembler makes. */
async function modelled(): Promise<void> {
  const segment = (body: SegmentModel["body"]): SegmentModel => ({
    ...{ body, checksum: "xxh3", wrongHash: false, dialect: "wire", flags: 0, footer: false, id: "next" },
  });
  const nested: KernelModel = {
    ...{ kind: "kernel", layout: "image-cmdline", image: "nested", behindNested: 0, cmdline: "" },
    ...{ imageHash: "fold", compression: "none" },
  };
  const list = segment({ kind: "manifest", directory: "faithful", deleted: 0 });
  const segments = [segment(nested), list];
  const files: Record<string, FileModel> = {
    "nested-store": { segments, rootPage: false, tail: "none" },
    "nested-store-last": { segments: [list, segment(nested)], rootPage: false, tail: "none" },
    "root-page": { segments: [segment({ ...nested, image: "bytes" }), list], rootPage: true, tail: "none" },
  };
  for (const [name, model] of Object.entries(files))
    writeFileSync(corpusFile(name), (await assemble(model)).bytes);
}

function byRvfNode(): void {
  const make = (name: string, use: (store: rvfNode.RvfDatabase) => void): void => {
    const path = join(work, `${name}.rvf`);
    const store = rvfNode.RvfDatabase.create(path, { dimension: 4 });
    use(store);
    store.close();
    copyFileSync(path, corpusFile(name));
  };
  const fill = (store: rvfNode.RvfDatabase): unknown =>
    store.ingestBatch(new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]), [1, 2, 3]);
  const embed = (store: rvfNode.RvfDatabase, image: Buffer): unknown =>
    store.embedKernel(0, 1, 8, image, 9090, "console=ttyS0");
  make("node-empty", () => undefined);
  make("node-kernel", (store) => [fill(store), embed(store, bzImage())]);
  make("node-two-kernels", (store) => [embed(store, small), embed(store, elf())]);
  make("node-compacted", (store) => [fill(store), embed(store, elf()), store.delete([2]), store.compact()]);
}

function byRvfCommand(): void {
  const command = process.env.RVF_CLI_BIN;
  if (command === undefined) throw new Error("RVF_CLI_BIN must name the rvf command.");
  const run = (...args: string[]): unknown => execFileSync(command, args, { timeout: 30_000 });
  const path = join(work, "cli.rvf");
  const [vectors, image] = [join(work, "vectors.json"), join(work, "image")];
  writeFileSync(vectors, JSON.stringify([1, 2, 3].map((id) => ({ id, vector: [id, 0, 0, 1] }))));
  writeFileSync(image, elf());
  run("create", "-d", "4", path);
  run("ingest", path, "-i", vectors);
  copyFileSync(path, corpusFile("cli-plain"));
  run("embed-kernel", path, "--prebuilt", "--image-path", image);
  copyFileSync(path, corpusFile("cli-kernel"));
  run("delete", path, "--ids", "2");
  copyFileSync(path, corpusFile("cli-deleted"));
  run("compact", path);
  copyFileSync(path, corpusFile("cli-compacted"));
}

/** Without hashes, so that what is changed in the frame reaches the decoder. */
async function byZstdCommand(): Promise<void> {
  const words = Array.from({ length: 400 }, (_, index) => `word${(index * 7919) % 101}`).join(" ");
  const image = Buffer.concat([bzImage(), Buffer.from(words)]);
  const stored = execFileSync("zstd", ["-19", "-c"], { input: image });
  const header = (bytes: Buffer): void => {
    bytes.writeUInt8(2, 0x28);
    bytes.writeBigUInt64LE(BigInt(image.length), 0x18);
  };
  const part = kernel({ layout: "adr030", cmdline: "z", image: stored, imageHash: Buffer.alloc(32), header });
  const parts = [{ ...part, checksum: "unset" as const }, manifest];
  writeFileSync(corpusFile("zstd-adr030"), await rvf(...parts));
}

/** The flag SIGNED and a footer behind the payload; the signature is nobody's. */
async function signed(): Promise<void> {
  const part = { ...kernel({ cmdline: "s" }), footer: () => signatureFooter() };
  writeFileSync(corpusFile("wire-signed-segment"), await rvf(manifest, part, manifest));
}

try {
  await assembled();
  await signed();
  await byZstdCommand();
  await modelled();
  byRvfNode();
  byRvfCommand();
} finally {
  rmSync(work, { recursive: true, force: true });
}
const { corpus } = await import("../fuzz/corpus.js");
for (const { name } of corpus())
  if (statSync(fromRepository(`test/rvf/corpus/${name}`)).size > MAX_BYTES)
    throw new Error(`${name} has more than ${MAX_BYTES} bytes: seeds are to be small.`);
