/** A private copy of a segment. */
import { readSegmentHeader, type SegmentHeader } from "./format/segment.js";
import { withNameless } from "./nameless.js";
import { changedMeanwhile, type Source } from "./source.js";

/**
 * Lets `use` work on a copy of the segment, header and signature included: what is verified there is what is used, whoever
 * writes to the file meanwhile.
 */
export function withSnapshot<T>(
  source: Source,
  segment: SegmentHeader,
  use: (copy: Source, segment: SegmentHeader) => Promise<T>,
): Promise<T> {
  const range = { start: segment.offset, length: segment.end - segment.offset };
  return withNameless(source.path, source.stream(range), async (copy) => {
    const own = await readSegmentHeader(copy.reader(), 0, copy.size);
    if (own?.id !== segment.id || own.type !== segment.type || own.end !== copy.size)
      throw changedMeanwhile(source);
    return await use(copy, own);
  });
}
