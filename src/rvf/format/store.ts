/** Finds the state of a store: its newest manifest, or what is wrong with the file. */
import { MicroVmError } from "../../errors.js";
import { isUnset } from "../hash.js";
import { mismatches, readManifest, type Manifest } from "./manifest.js";
import { recoverManifest } from "./recover.js";
import {
  KERNEL,
  MANIFEST,
  SEGMENT_HEADER_BYTES,
  SEGMENT_MAGIC,
  WITNESS,
  segmentEnd,
  typeName,
  walkSegments,
} from "./segment.js";
import type { SegmentChain, SegmentHeader } from "./segment.js";
import type { Source } from "../source.js";

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
  new MicroVmError("RvfInvalid", `"${source.path}" ${what}`, { property: "rvfPath", ...(hint && { hint }) });

/** Reads the structure of an RVF; throws RvfInvalid in words that say what is wrong. */
export async function openStore(source: Source): Promise<Store> {
  await refuseForeign(source);
  const chain = await walkSegments(source);
  const last = chain.segments.findLast(({ type }) => type === MANIFEST);
  const loose = chain.segments.filter(
    ({ offset, type }) => offset > (last?.offset ?? -1) && type !== WITNESS,
  );
  const clean = !chain.cut && (await endsClean(source, chain.end));
  const recovered =
    clean && loose.length === 0 ? undefined : await recoverManifest(source, last ? segmentEnd(last) : 0);

  const manifest = recovered ?? (await lastManifest(source, chain, last));
  const warnings = recovered
    ? [
        `The file is damaged at byte ${chain.end}; its newest manifest is at byte ${recovered.segment.offset}.`,
      ]
    : tailWarnings(source, chain, loose, clean);
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
  return {
    manifest,
    dialect: dialectOf(chain.segments),
    cutShort: chain.cut !== undefined && !recovered,
    warnings,
  };
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

/** Reads the chain's last manifest. A damaged one is never passed over for an older one. */
async function lastManifest(source: Source, chain: SegmentChain, last?: SegmentHeader): Promise<Manifest> {
  const { cut, end } = chain;
  if (!last && (cut || source.size < SEGMENT_HEADER_BYTES)) throw cutError(source, cut);
  if (!last) throw invalid(source, `holds no manifest up to byte ${end}.`);
  const manifest = await readManifest(source, last);
  if (manifest) return manifest;
  throw invalid(source, `has a damaged manifest at byte ${last.offset}.`, "Restore the file from a copy.");
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

/** What is in no manifest. A kernel there means that the newest state was lost: an error. */
function tailWarnings(source: Source, chain: SegmentChain, loose: SegmentHeader[], clean: boolean): string[] {
  const { cut, end } = chain;
  if (cut && [...loose, cut].some(({ type }) => type === KERNEL)) throw cutError(source, cut);
  if (loose.some(({ type }) => type === KERNEL))
    throw invalid(
      source,
      "is cut short: its last kernel was written, but not the manifest that belongs to it.",
    );
  if (cut)
    return [`The file ends within segment ${cut.id} (${typeName(cut.type)}): its last change is lost.`];
  if (!clean) return [`${source.size - end} bytes at the end of the file belong to no segment.`];
  return loose.length > 0
    ? [`${loose.length} segments at the end are in no manifest: a change was lost.`]
    : [];
}

function dialectOf(segments: SegmentHeader[]): Store["dialect"] {
  const legacy = segments.filter(({ checksumAlgorithm }) => checksumAlgorithm === 0).length;
  return legacy === 0 ? "wire" : legacy === segments.length ? "legacy" : "mixed";
}
