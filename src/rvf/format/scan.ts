/** Looks for manifests from the end of a file backwards: all that is needed of a large store stands there. */
import { MANIFEST, SEGMENT_MAGIC } from "./segment.js";
import type { Source } from "../source.js";

const WINDOW = 1024 * 1024;
/** The newest manifest is almost always within the last bytes. */
const FIRST_WINDOW = 64 * 1024;
/** Further from the end only a torn write lies behind the newest manifest: then the segments are walked instead. */
const REACH = 4 * WINDOW;

/** How a manifest's header begins: magic, version 1, type. */
const NEEDLE = Buffer.from([...SEGMENT_MAGIC, 1, MANIFEST]);

/** The offsets that look like the header of a manifest, last first; they may lie within a payload. */
export async function* manifestsFromEnd(source: Source): AsyncGenerator<number> {
  const end = source.size;
  const from = Math.max(0, end - REACH);
  for (let to = end, size = FIRST_WINDOW; to > from; to -= size, size = WINDOW) {
    const start = Math.max(from, to - size);
    // Windows overlap by less than the needle, so that none is missed and none is found twice.
    const window = await source.at(start, Math.min(end, to + NEEDLE.length - 1) - start);
    for (let at = window.lastIndexOf(NEEDLE); at >= 0; at = at > 0 ? window.lastIndexOf(NEEDLE, at - 1) : -1)
      yield start + at;
  }
}
