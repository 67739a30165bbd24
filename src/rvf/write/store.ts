/** Adds a kernel segment to a copy of a store, with the manifest that names it. */
import type { KeyObject } from "node:crypto";
import { MicroVmError } from "../../errors.js";
import { walkSegments } from "../format/chain.js";
import { KERNEL, MANIFEST, SEGMENT_ALIGNMENT, type SegmentHeader } from "../format/segment.js";
import type { Store } from "../format/store.js";
import { hasSegmentHashes } from "../format/trailer.js";
import type { Source } from "../source.js";
import { nextManifest } from "./manifest.js";
import { writeCopy, writing } from "./output.js";
import { refuseChanged, type Piece } from "./pieces.js";
import { appendSegment } from "./segment.js";

export interface AddOptions {
  out: string;
  privateKey?: KeyObject | undefined;
  signal?: AbortSignal | undefined;
}

/** The manifest takes the id after the kernel's. */
const MAX_ID = 2n ** 64n - 1n;

export interface Added {
  /** The kernel's segment. */
  id: bigint;
  /** The size of the copy. */
  bytes: number;
}

/** Writes the copy with `payload` as its newest kernel. What is in the store stays there, other kernels too. Throws as `embedKernel`. */
export async function addKernel(
  source: Source,
  store: Store,
  payload: Piece[],
  { out, privateKey, signal }: AddOptions,
): Promise<Added> {
  await refuseUnfit(source, store);

  const { segments } = await walkSegments(source, 0);
  // Ids are not given again, not even those of segments that no manifest names any more.
  const all = [...store.manifest.directory, ...segments];
  const id = all.reduce((highest, one) => (one.id > highest ? one.id : highest), 0n) + 1n;
  if (id >= MAX_ID)
    throw new MicroVmError("RvfInvalid", `"${source.path}" has used up its segment ids.`, {
      property: "rvfPath",
    });
  const aligned = isAligned(segments, source.size);
  const end = (store.tail.at(-1) ?? store.manifest.segment).end;
  const bytes = await writeCopy(source, out, signal, (copy) =>
    writing(out, async () => {
      await copy.file.truncate(end);
      const kernel = await appendSegment(
        copy,
        end,
        { type: KERNEL, id, pieces: payload, privateKey },
        aligned,
      );
      const pieces = await nextManifest(source, store.manifest, store.tail, { ...kernel, id });
      const manifest = { type: MANIFEST, id: id + 1n, pieces };
      const { end: size } = await appendSegment(copy, kernel.end, manifest, aligned);
      await refuseChanged([...payload, ...pieces]);
      return size;
    }),
  );
  return { id, bytes };
}

/**
 * Whether the file is laid out on 64-byte boundaries. Other readers look at the first segment that does not end on one,
 * and from then on find manifests only there or, in files without padding, anywhere; so must the new ones stand.
 */
function isAligned(segments: SegmentHeader[], fileBytes: number): boolean {
  const index = segments.findIndex((segment) => segment.end % SEGMENT_ALIGNMENT !== 0);
  const decisive = segments[index];
  if (!decisive) return segments[0]?.checksumAlgorithm !== 0;
  const next = segments[index + 1]?.offset ?? fileBytes;
  return next - decisive.end > 0 && next % SEGMENT_ALIGNMENT === 0;
}

async function refuseUnfit(source: Source, { warnings, rootPage, manifest }: Store): Promise<void> {
  const [damage] = warnings;
  if (damage !== undefined)
    throw new MicroVmError("RvfInvalid", `"${source.path}" is not intact, so nothing is added: ${damage}`, {
      property: "rvfPath",
      hint: "Restore the file from a copy.",
    });
  if (rootPage ?? (await hasSegmentHashes(source, manifest)))
    throw new MicroVmError(
      "InvalidArgument",
      `"${source.path}" is a signed store: adding a kernel to it would break its signature.`,
      { property: "rvfPath", hint: "Embed the kernel with the writer that holds the store's key." },
    );
}
