/** Bytes to be written that lie partly in memory and partly in files, so that images never are in memory whole. */
import { MicroVmError } from "../../errors.js";
import type { ByteRange, Source } from "../source.js";

export type Piece = Buffer | { source: Source; range: ByteRange };

export const wholeOf = (source: Source): Piece => ({ source, range: { start: 0, length: source.size } });

/** All pieces after one another. What is yielded is overwritten by the next one: use it before asking on. */
export async function* streamPieces(pieces: Piece[]): AsyncGenerator<Buffer> {
  for (const piece of pieces)
    if (Buffer.isBuffer(piece)) yield piece;
    else yield* piece.source.stream(piece.range);
}

/** Throws Io if one of the files was written to since it was opened: then what was read of it may be of two states. */
export async function refuseChanged(pieces: Piece[]): Promise<void> {
  for (const piece of pieces)
    if (!Buffer.isBuffer(piece) && (await piece.source.changed()))
      throw new MicroVmError("Io", `"${piece.source.path}" was changed while it was being copied.`, {
        hint: "Try again when nothing writes to it.",
      });
}
