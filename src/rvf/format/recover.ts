/**
 * The newest manifest of a file whose chain of segments is broken: a damaged header, or a write that was torn and
 * then written over. Looks back from the end of the file, within bounds of bytes read and of candidates.
 */
import { readManifest, type Manifest } from "./manifest.js";
import { MANIFEST, SEGMENT_HEADER_BYTES, SEGMENT_MAGIC, readSegmentHeader, segmentEnd } from "./segment.js";
import type { Source } from "../source.js";

const WINDOW = 1024 * 1024;
/** Writers put the manifest at the very end; only a witness or a root page follows. */
const REACH = 64 * WINDOW;
/** Bytes hashed over all candidates, each counted as at least `CANDIDATE_COST`: lookalikes must not cost hours. */
const BUDGET = 64 * WINDOW;
const CANDIDATE_COST = WINDOW / 16;

/** How a manifest's header begins: magic, version 1, type. */
const NEEDLE = Buffer.from([...SEGMENT_MAGIC, 1, MANIFEST]);

/**
 * Scans back from the end of the file to byte `from`, where the newest manifest known so far ends. A lookalike inside a
 * payload is refused: the bytes must match a hash, and the directory must name a segment that lies behind `from`, which
 * no copy of an older state does.
 */
export async function recoverManifest(source: Source, from: number): Promise<Manifest | undefined> {
  let budget = BUDGET;
  for await (const offset of needlesFromEnd(source, Math.max(from, source.size - REACH))) {
    const segment = await readSegmentHeader(source, offset);
    if (!segment || segmentEnd(segment) > source.size) continue;
    budget -= Math.max(segment.payload.length, CANDIDATE_COST);
    if (budget < 0) return undefined;
    const manifest = await readManifest(source, segment);
    if (!manifest?.hashed) continue;
    const ends = manifest.directory.map((entry) => entry.offset + SEGMENT_HEADER_BYTES + entry.payloadLength);
    if (ends.every((end) => end <= offset) && ends.some((end) => end > from)) return manifest;
  }
  return undefined;
}

/** Where the needle stands, last first, in windows that overlap by less than its length. */
async function* needlesFromEnd(source: Source, from: number): AsyncGenerator<number> {
  for (let end = source.size; end > from; end -= WINDOW) {
    const start = Math.max(from, end - WINDOW);
    const window = await source.at(start, Math.min(source.size, end + NEEDLE.length - 1) - start);
    for (let at = window.lastIndexOf(NEEDLE); at >= 0; at = at > 0 ? window.lastIndexOf(NEEDLE, at - 1) : -1)
      yield start + at;
  }
}
