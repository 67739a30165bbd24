/**
 * Tells one content of a store from another without reading it whole: by its length, its ends, and every segment's header, which
 * holds the hash of the segment's payload. So whatever a writer changed is seen, wherever it lies; only a payload that was changed
 * behind the back of its hash is not, and that one is damaged by the file's own account.
 */
import { createHash } from "node:crypto";
import { KERNEL_HEADER_BYTES } from "./format/kernel.js";
import { SEGMENT_HEADER_BYTES } from "./format/segment.js";
import { openStore } from "./format/store.js";
import { withSource } from "./source.js";

/** Of the beginning and of the end, where the newest manifest lies. */
const END_BYTES = 64 * 1024;
/** The kernel's own hash too, for writers that leave the segment's unset. */
const HEADER_BYTES = SEGMENT_HEADER_BYTES + KERNEL_HEADER_BYTES;

/** `<length> bytes, segments <32 hex digits>`; a copy or a touched file has the same. Throws FileNotFound, RvfInvalid or Io. */
export function fingerprintRvf(path: string): Promise<string> {
  return withSource(path, "rvf", async (source) => {
    const { size } = source;
    const { segments, tail, manifest } = await openStore(source);
    const hash = createHash("sha256");
    const length = Math.min(END_BYTES, size);
    for (const start of [0, size - length]) hash.update(await source.at(start, length));
    const read = source.reader();
    for (const segment of [...segments, manifest.segment, ...tail]) {
      if (segment === undefined) continue;
      hash.update(await read(segment.offset, Math.min(HEADER_BYTES, size - segment.offset)));
    }
    return `${size} bytes, segments ${hash.digest("hex").slice(0, 32)}`;
  });
}
