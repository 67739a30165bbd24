/** Finds the state of a store: its newest manifest, or what is wrong with the file. */
import { MicroVmError } from "../errors.js";
import { mismatches, readManifest, type Manifest } from "./manifest.js";
import { recoverManifest } from "./recover.js";
import { KERNEL, MANIFEST, SEGMENT_MAGIC, typeName, walkSegments } from "./segment.js";
import type { SegmentChain, SegmentHeader } from "./segment.js";
import { isUnset } from "./hash.js";
import type { Source } from "./source.js";

export interface Store {
  manifest: Manifest;
  /** "wire" (64-byte boundaries, XXH3 or SHAKE), "legacy" (no padding, CRC) or "mixed". */
  dialect: "wire" | "legacy" | "mixed";
  /** Whether the file ends within a segment. */
  cutShort: boolean;
  warnings: string[];
}

/** "0MVR": the root page of signed stores, the file's last 4096 bytes. */
const ROOT_PAGE_MAGIC = Buffer.from("0MVR", "latin1");
const ROOT_PAGE_BYTES = 4096;

const invalid = (source: Source, what: string, hint?: string): MicroVmError =>
  new MicroVmError("RvfInvalid", `"${source.path}" ${what}`, {
    property: "rvfPath",
    ...(hint === undefined ? {} : { hint }),
  });

/** Reads the structure of an RVF; throws RvfInvalid in words that say what is wrong. */
export async function openStore(source: Source): Promise<Store> {
  await refuseForeign(source);
  const chain = await walkSegments(source);
  const clean = !chain.cut && (await endsClean(source, chain.end));
  const recovered = clean ? undefined : await recoverManifest(source, chain.end);
  const manifest = recovered ?? (await lastManifest(source, chain));

  const warnings: string[] = [];
  if (recovered)
    warnings.push(
      `The file is damaged at byte ${chain.end}; its newest manifest was found at byte ${recovered.segment.offset}.`,
    );
  else warnings.push(...tailWarnings(source, chain, manifest, clean));

  const wrong = await mismatches(source, manifest);
  if (wrong.length > 0 && !manifest.hashed)
    throw invalid(
      source,
      `has a manifest without a hash that names segments which are not there: ${wrong[0]}.`,
    );
  if (wrong.length > 0)
    warnings.push(
      `${wrong.length} of the manifest's segments are damaged or missing, the first ${wrong[0]}.`,
    );
  return { manifest, dialect: dialectOf(chain.segments), cutShort: chain.cut !== undefined, warnings };
}

async function refuseForeign(source: Source): Promise<void> {
  if (source.size === 0) throw invalid(source, "is empty.");
  const start = await source.at(0, Math.min(source.size, 5));
  if (!start.subarray(0, 4).equals(SEGMENT_MAGIC)) throw invalid(source, "is not an RVF file.");
  if (start.length === 5 && start[4] !== 1)
    throw invalid(source, `is an RVF of version ${start[4]}; only version 1 is known.`);
}

/** Whether nothing but zero padding or a signed store's root page follows the last segment. */
async function endsClean(source: Source, end: number): Promise<boolean> {
  const rest = source.size - end;
  const page = await source.at(Math.max(end, source.size - ROOT_PAGE_BYTES), Math.min(rest, ROOT_PAGE_BYTES));
  if (rest >= ROOT_PAGE_BYTES && page.subarray(0, 4).equals(ROOT_PAGE_MAGIC))
    return rest < 2 * ROOT_PAGE_BYTES;
  return rest < ROOT_PAGE_BYTES && isUnset(page);
}

/** The chain's last manifest. A damaged one is never passed over for an older one. */
async function lastManifest(source: Source, { segments, end, cut }: SegmentChain): Promise<Manifest> {
  const segment = segments.findLast(({ type }) => type === MANIFEST);
  if (!segment)
    throw cut || source.size < 64
      ? cutError(source, cut)
      : invalid(source, `holds no manifest up to byte ${end}.`);
  const manifest = await readManifest(source, segment);
  if (!manifest)
    throw invalid(
      source,
      `has a damaged manifest at byte ${segment.offset}.`,
      "Restore the file from a copy.",
    );
  return manifest;
}

function cutError(source: Source, cut?: SegmentHeader): MicroVmError {
  const where = cut
    ? `within segment ${cut.id} (${typeName(cut.type)}), which starts at byte ${cut.offset}`
    : "early";
  return invalid(
    source,
    `is cut short: it ends after ${source.size} bytes, ${where}.`,
    "Copy or write the file again.",
  );
}

/** What follows the manifest and is not in it. A kernel there means that the newest state was lost: an error. */
function tailWarnings(source: Source, chain: SegmentChain, manifest: Manifest, clean: boolean): string[] {
  const after = chain.segments.filter(({ offset }) => offset > manifest.segment.offset);
  if ([...after, chain.cut].some((segment) => segment?.type === KERNEL))
    throw chain.cut
      ? cutError(source, chain.cut)
      : invalid(
          source,
          "is cut short: its last kernel was written, but not the manifest that belongs to it.",
        );
  if (chain.cut)
    return [
      `The file ends within segment ${chain.cut.id} (${typeName(chain.cut.type)}): its last change is lost.`,
    ];
  if (!clean) return [`${source.size - chain.end} bytes at the end of the file belong to no segment.`];
  const lost = after.filter(({ type }) => typeName(type) !== "witness");
  return lost.length > 0 ? [`${lost.length} segments at the end are in no manifest: a change was lost.`] : [];
}

function dialectOf(segments: SegmentHeader[]): Store["dialect"] {
  const legacy = segments.filter(({ checksumAlgorithm }) => checksumAlgorithm === 0).length;
  return legacy === 0 ? "wire" : legacy === segments.length ? "legacy" : "mixed";
}
