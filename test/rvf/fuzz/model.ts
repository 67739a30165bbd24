/** What a generated RVF is made of: models that fast-check draws and shrinks, before any byte is written. */
import fc from "fast-check";
import type { Checksum } from "../build.js";

export interface KernelModel {
  kind: "kernel";
  layout: "image-cmdline" | "binding-cmdline-image" | "adr030" | "adr030-signed";
  image: "bzImage" | "bzImage+initramfs" | "elf" | "bytes" | "nested";
  /** For a nested image: bytes of it behind the store within it. */
  behindNested: number;
  cmdline: string;
  imageHash: "fold" | "sha3" | "shake" | "wrong" | "unset";
  /** The header's compression byte; only zstd's images are compressed indeed. */
  compression: "none" | "zstd" | "unknown";
}

export interface ManifestModel {
  kind: "manifest";
  /** How the directory differs from one that names every segment before it. */
  directory:
    | "faithful"
    | "reversed"
    | "repeated"
    | "without-last"
    | "itself"
    | "later"
    | "outside"
    | "exchanged"
    | "empty"
    | "countless";
  deleted: number;
}

export type Body =
  KernelModel | ManifestModel | { kind: "vec" | "witness" | "journal" | "unknown"; length: number };

export interface SegmentModel {
  body: Body;
  checksum: Checksum;
  wrongHash: boolean;
  dialect: "wire" | "legacy";
  flags: number;
  /** A signature's footer at the end of the payload, hashed with it. */
  footer: boolean;
  id: "next" | "same" | "zero" | "highest";
}

export interface FileModel {
  segments: SegmentModel[];
  rootPage: boolean;
  tail: "none" | "zeros" | "garbage" | "torn";
}

/** Mostly the first: else hardly a file would be intact as a whole. */
const mostly = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 8, arbitrary: fc.constant(usual) },
    { weight: 2, arbitrary: fc.constantFrom(usual, ...others) },
  );

const kernelModel: fc.Arbitrary<KernelModel> = fc.record({
  kind: fc.constant("kernel"),
  layout: fc.constantFrom("image-cmdline", "binding-cmdline-image", "adr030", "adr030-signed"),
  image: fc.constantFrom("bzImage", "bzImage+initramfs", "elf", "bytes", "nested"),
  behindNested: fc.constantFrom(0, 0, 1, 64),
  cmdline: fc.constantFrom(
    "",
    "quiet",
    "console=ttyS0 root=/dev/vda",
    "a\nb",
    "x".repeat(2047),
    "x".repeat(2048),
  ),
  imageHash: mostly("fold", "sha3", "shake", "wrong", "unset"),
  compression: mostly("none", "zstd", "unknown"),
});

const manifestModel: fc.Arbitrary<ManifestModel> = fc.record({
  kind: fc.constant("manifest"),
  directory: mostly<ManifestModel["directory"]>(
    "faithful",
    ...(["reversed", "repeated", "without-last", "itself", "later", "outside"] as const),
    ...(["exchanged", "empty", "countless"] as const),
  ),
  deleted: fc.nat(3),
});

const otherModel = fc.record({
  kind: fc.constantFrom("vec", "witness", "journal", "unknown"),
  length: fc.nat(200),
});

const segmentOf = (
  body: fc.Arbitrary<Body>,
  dialect: fc.Arbitrary<"wire" | "legacy">,
): fc.Arbitrary<SegmentModel> =>
  fc.record({
    body,
    checksum: fc.constantFrom("xxh3", "xxh3", "crc", "crc", "xxh3-as-0", "shake", "unset"),
    wrongHash: mostly(false, true),
    dialect,
    flags: mostly(0, 4, 1, 2, 0x800),
    footer: mostly(false, true),
    id: mostly("next", "same", "zero", "highest"),
  });

/** Ends with a manifest more often than not, as real files do. */
export const fileModel: fc.Arbitrary<FileModel> = fc
  .constantFrom(["wire"] as const, ["legacy"] as const, ["wire", "legacy"] as const)
  .chain((dialects) => {
    const dialect = fc.constantFrom(...dialects);
    const any = segmentOf(fc.oneof(kernelModel, kernelModel, manifestModel, otherModel), dialect);
    const last = fc.option(segmentOf(manifestModel, dialect), { freq: 6, nil: undefined });
    return fc.record({
      segments: fc
        .tuple(fc.array(any, { maxLength: 6 }), last)
        .map(([before, end]) => (end ? [...before, end] : before)),
      rootPage: mostly(false, true),
      tail: mostly("none", "zeros", "garbage", "torn"),
    });
  });
