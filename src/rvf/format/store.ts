/** Finds the state of a store: its newest manifest, or what is wrong with the file. */
import { MicroVmError } from "../../errors.js";
import { isUnset } from "../hash.js";
import type { Source } from "../source.js";
import { isNamedBy, placeSegments, walkSegments, type SegmentChain } from "./chain.js";
import { readManifest, type Manifest } from "./manifest.js";
import { ROOT_PAGE_BYTES, readRootPage, type RootPage } from "./root-page.js";
import { manifestsFromEnd } from "./scan.js";
import {
  KERNEL,
  MANIFEST,
  SEGMENT_ALIGNMENT,
  SEGMENT_HEADER_BYTES,
  SEGMENT_MAGIC,
  WITNESS,
  readSegmentHeader,
  typeName,
  type SegmentHeader,
} from "./segment.js";

export interface Store {
  manifest: Manifest;
  /** The manifest's segments in its directory's order; undefined where the file holds something else. */
  segments: (SegmentHeader | undefined)[];
  /** What was written after the manifest. */
  tail: SegmentHeader[];
  /** Whether the file says that it is signed; see `RootPage`. */
  rootPage?: RootPage;
  /** "wire" (segments on 64-byte boundaries), "legacy" (no padding, CRC hashes) or "mixed". */
  dialect: "wire" | "legacy" | "mixed";
  /** Whether the file ends within a segment. */
  cutShort: boolean;
  warnings: string[];
}

const invalid = (source: Source, what: string, hint?: string): MicroVmError =>
  new MicroVmError("RvfInvalid", `"${source.path}" ${what}`, { property: "rvfPath", ...(hint && { hint }) });

/** Reads the structure of an RVF; throws RvfInvalid in words that say what is wrong. */
export async function openStore(source: Source): Promise<Store> {
  await refuseForeign(source);
  const strangers: Manifest[] = [];
  const { manifest, segments, brokenAt } = (await fromEnd(source, strangers)) ?? (await fromStart(source));
  refuseDoubt(source, manifest, strangers);
  const tail = await walkSegments(source, manifest.segment.end);
  const page = await readRootPage(source);
  // Within a segment it is a payload's own affair.
  const rootPage = page && page.offset >= tail.end ? page : undefined;
  const warnings =
    brokenAt === undefined
      ? []
      : [
          `The file is damaged at byte ${brokenAt}; its newest manifest is at byte ${manifest.segment.offset}.`,
        ];
  warnings.push(...(await tailWarnings(source, tail, rootPage)), ...mismatches(source, manifest, segments));
  return {
    manifest,
    segments,
    tail: tail.segments,
    ...(rootPage && { rootPage }),
    dialect: dialectOf([manifest.segment, ...segments]),
    cutShort: tail.cut !== undefined,
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

interface Found {
  manifest: Manifest;
  segments: (SegmentHeader | undefined)[];
  brokenAt?: number;
}

/** Bytes hashed over all candidates, each counted as at least `CANDIDATE_COST`: lookalikes must not cost hours. */
const BUDGET = 64 * 1024 * 1024;
const CANDIDATE_COST = 16 * 1024;
/** Candidates that are manifests but not on the chain: a store within a store. After so many the segments are walked. */
const MAX_STRANGERS = 16;

/** The newest manifest by looking back from the end: few reads, however large the store is. */
async function fromEnd(source: Source, strangers: Manifest[]): Promise<Found | undefined> {
  let budget = BUDGET;
  for await (const offset of manifestsFromEnd(source)) {
    const segment = await readSegmentHeader(source.at, offset, source.size);
    const fits = segment && segment.end <= source.size;
    budget -= Math.max(fits ? segment.payload.length : 0, CANDIDATE_COST);
    if (budget < 0) return undefined;
    if (!fits) continue;
    const manifest = await readManifest(source, segment);
    if (!manifest) continue;
    const placed = await placeSegments(source, manifest);
    // Where the chain is broken, only a hash can vouch for what comes behind.
    if (placed && (placed.brokenAt === undefined || manifest.hashed))
      return { ...placed, manifest, segments: placed.headers };
    if (strangers.push(manifest) === MAX_STRANGERS) return undefined;
  }
  return undefined;
}

/** The same by following every segment from the first byte: the way for files that end in something else. */
async function fromStart(source: Source): Promise<Found> {
  const { segments, cut, end } = await walkSegments(source, 0);
  const last = segments.findLast(({ type }) => type === MANIFEST);
  if (!last && (cut || source.size < SEGMENT_HEADER_BYTES)) throw cutError(source, cut);
  if (!last) throw invalid(source, `holds no manifest up to byte ${end}.`);
  const manifest = await readManifest(source, last);
  if (!manifest) throw damagedManifest(source, last);
  const byOffset = new Map(segments.map((segment) => [segment.offset, segment]));
  const named = Array.from(manifest.directory, (entry) => {
    const segment = byOffset.get(entry.offset);
    byOffset.delete(entry.offset); // One that is named twice counts once.
    return segment && isNamedBy(entry, segment) ? segment : undefined;
  });
  return { manifest, segments: named };
}

/** A manifest that builds on the one found, but cannot be shown to be no payload: neither is a safe answer. */
function refuseDoubt(source: Source, { segment }: Manifest, strangers: Manifest[]): void {
  const end = segment.end;
  const newer = strangers.find(
    ({ hashed, directory, segment: own }) =>
      hashed &&
      own.offset >= end &&
      [...directory].some(({ offset }) => offset >= end) &&
      [...directory].every(({ offset }) => offset < own.offset),
  );
  if (newer)
    throw invalid(
      source,
      `is damaged: at byte ${newer.segment.offset} stands its newest manifest, or data that looks like one, within a segment that was cut off.`,
      "Restore the file from a copy.",
    );
}

const damagedManifest = (source: Source, { offset }: SegmentHeader): MicroVmError =>
  invalid(source, `has a damaged manifest at byte ${offset}.`, "Restore the file from a copy.");

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

/**
 * What is behind the newest manifest and so in none. Where that is a manifest or a kernel, the newest state was lost, and
 * an older one never stands in for it: an error.
 */
async function tailWarnings(source: Source, chain: SegmentChain, rootPage?: RootPage): Promise<string[]> {
  const { segments, cut, end } = chain;
  const damaged = segments.find(({ type }) => type === MANIFEST);
  if (damaged) throw damagedManifest(source, damaged);
  if (cut && [...segments, cut].some(({ type }) => type === KERNEL)) throw cutError(source, cut);
  if (segments.some(({ type }) => type === KERNEL))
    throw invalid(
      source,
      "is cut short: its last kernel was written, but not the manifest that belongs to it.",
    );
  if (cut)
    return [`The file ends within segment ${cut.id} (${typeName(cut.type)}): its last change is lost.`];
  if (!(await endsClean(source, end, rootPage)))
    return [`${source.size - end} bytes at the end of the file belong to no segment.`];
  const lost = segments.filter(({ type }) => type !== WITNESS).length;
  return lost > 0 ? [`${lost} segments at the end are in no manifest: a change was lost.`] : [];
}

/** Whether nothing but zero padding or a signed store's root page follows the last segment. */
async function endsClean(source: Source, end: number, rootPage?: RootPage): Promise<boolean> {
  const rest = (rootPage?.offset ?? source.size) - end;
  return rest < ROOT_PAGE_BYTES && isUnset(await source.at(end, Math.max(rest, 0)));
}

function mismatches(
  source: Source,
  { directory, hashed }: Manifest,
  segments: (SegmentHeader | undefined)[],
): string[] {
  const missing = segments.findIndex((segment) => !segment);
  if (missing < 0) return [];
  const first = directory.at(missing);
  const count = segments.filter((segment) => !segment).length;
  const example = `segment ${first.id} (${typeName(first.type)}) at byte ${first.offset}`;
  if (!hashed)
    throw invalid(
      source,
      `has a manifest without a hash that names segments which are not there: ${example}.`,
    );
  return [`${count} of the manifest's segments are damaged or missing, the first ${example}.`];
}

/** Readers go by where segments stand, not by how they are hashed: kernels embedded here carry a CRC in either dialect. */
function dialectOf(all: (SegmentHeader | undefined)[]): Store["dialect"] {
  const segments = all.filter((segment) => segment !== undefined);
  const legacyHashes = segments.every(({ checksumAlgorithm }) => checksumAlgorithm === 0);
  const aligned = segments.every(({ offset }) => offset % SEGMENT_ALIGNMENT === 0);
  // The first segment stands on a boundary in either.
  if (aligned && !(legacyHashes && segments.length === 1)) return "wire";
  return legacyHashes ? "legacy" : "mixed";
}

/** The error for a store without a kernel, with how to get one in. */
export function noKernel(source: Source, { cutShort, warnings }: Store): MicroVmError {
  const evidence = warnings.length > 0 ? { evidence: warnings.join("\n") } : {};
  if (cutShort)
    return new MicroVmError(
      "RvfInvalid",
      `"${source.path}" is cut short, and what is left holds no kernel.`,
      {
        property: "rvfPath",
        ...evidence,
        hint: "Copy or write the file again.",
      },
    );
  return new MicroVmError("NoKernelSegment", `"${source.path}" carries no kernel to boot.`, {
    property: "rvfPath",
    ...evidence,
    hint: `A copy with a kernel: microvm embed ${source.path} --image IMAGE -o OUT`,
  });
}
