/** Gives random access to a kernel's image, whether it is stored as it is or compressed. */
import type { KernelHeader } from "../format/kernel.js";
import type { KernelLayout } from "../format/layout.js";
import { withNameless } from "../nameless.js";
import type { ByteRange, Source } from "../source.js";
import { decompressZstd } from "./zstd.js";

export interface Image {
  source: Source;
  range: ByteRange;
}

/** Hands the image to `use`; a compressed one is decompressed to disk before. */
export async function withImage<T>(
  source: Source,
  { compression, imageSize }: KernelHeader,
  { image }: KernelLayout,
  use: (image: Image) => Promise<T>,
): Promise<T> {
  if (compression === "none") return await use({ source, range: image });
  return await withNameless(source.path, decompressZstd(source, image, imageSize), (copy) =>
    use({ source: copy, range: { start: 0, length: imageSize } }),
  );
}
