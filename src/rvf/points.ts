/** Everything a file says of itself, checked point by point: also what no launch needs. */
import type { KeyObject } from "node:crypto";
import { MicroVmError, type ErrorCode } from "../errors.js";
import { examineKernel, type ExaminedKernel } from "./examine.js";
import { checkContent } from "./format/content-hash.js";
import { typeName, type SegmentHeader } from "./format/segment.js";
import { noKernel, openStore, type Store } from "./format/store.js";
import { integrityReport, type IntegrityReport } from "./report.js";
import { withSource, type Source } from "./source.js";
import { parsePublicKey } from "./verify/keys.js";
import { judge, type Integrity, type Verification } from "./verify/policy.js";

export interface Point {
  /** What was looked at. */
  point: string;
  /** "weak" is what a forger could make, or what is missing. */
  outcome: "good" | "weak" | "bad";
  words: string;
}

export interface VerifyReport {
  file: string;
  verification: Verification;
  /** Why the kernel must not be used under that policy, or which segment is damaged; null if all is well. */
  refusal: { code: ErrorCode; message: string } | null;
  points: Point[];
  /** Null without a kernel that could be read. */
  integrity: IntegrityReport | null;
}

/**
 * Checks the manifest, every segment's hash, the kernel's hashes and all signatures. Reads the whole file, in bounded
 * memory. Throws FileNotFound, Io, or InvalidArgument for a bad key; what is wrong within the file is a point.
 */
export function verifyRvf(
  path: string,
  {
    verification = "lenient",
    trustedKeys = [],
  }: { verification?: Verification; trustedKeys?: readonly string[] } = {},
): Promise<VerifyReport> {
  const keys = trustedKeys.map(parsePublicKey);
  return withSource(path, "rvf", async (source) => {
    const findings = new Findings();
    const integrity = await collect(source, keys, verification, findings);
    const { points, refusal } = findings;
    return {
      file: path,
      verification,
      refusal,
      points,
      integrity: integrity ? integrityReport(integrity) : null,
    };
  });
}

/** The points so far, and the first reason to refuse the file. */
class Findings {
  readonly points: Point[] = [];
  refusal: VerifyReport["refusal"] = null;

  add(...points: Point[]): void {
    this.points.push(...points);
    const [first] = points.filter(({ outcome }) => outcome === "bad");
    if (first) this.refusal ??= { code: "RvfInvalid", message: first.words };
  }

  /** Makes a point of an error that is about the file. */
  async try<T>(point: string, action: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof MicroVmError) || error.code === "Io") throw error;
      const { code, message } = error;
      this.refusal ??= { code, message };
      this.points.push({ point, outcome: "bad", words: message });
      return undefined;
    }
  }
}

async function collect(
  source: Source,
  keys: readonly KeyObject[],
  verification: Verification,
  findings: Findings,
): Promise<Integrity | undefined> {
  const store = await findings.try("structure", () => openStore(source));
  if (!store) return undefined;
  findings.add(...structurePoints(store));
  const kernel = await findings.try(
    "kernel",
    async () => (await examineKernel(source, store, keys)) ?? "none",
  );
  if (kernel === "none" && verification === "lenient")
    findings.add({ point: "kernel", outcome: "weak", words: "there is none" });
  else if (kernel === "none")
    await findings.try("kernel", () => {
      throw noKernel(source, store);
    });
  const examined = kernel === "none" ? undefined : kernel;
  if (examined) await addKernelPoints(examined, verification, findings);
  findings.add(...(await segmentPoints(source, store)));
  return examined?.integrity;
}

async function addKernelPoints(
  { integrity, binding, layout, segment, warnings }: ExaminedKernel,
  verification: Verification,
  findings: Findings,
): Promise<void> {
  findings.add({ point: "kernel", outcome: "good", words: `segment ${segment.id}, layout ${layout.name}` });
  await findings.try(`policy "${verification}"`, () => {
    judge(integrity, verification);
    findings.add({ point: `policy "${verification}"`, outcome: "good", words: "accepted" });
  });
  findings.add(...hashPoints(integrity));
  if (binding)
    findings.add({
      point: "binding",
      outcome: "weak",
      words: `well-formed; the format does not say which bytes its manifest hash ${binding.manifestRootHash} is over`,
    });
  findings.add(...warnings.map((words): Point => ({ point: "kernel header", outcome: "weak", words })));
}

const bad = (point: string, words: string): Point => ({ point, outcome: "bad", words });

function structurePoints({ manifest, segments, warnings }: Store): Point[] {
  const { segment, epoch, hashed } = manifest;
  const where = `epoch ${epoch} at byte ${segment.offset} names ${segments.length} segments`;
  return [
    hashed
      ? { point: "manifest", outcome: "good", words: `${where}; its hash matches` }
      : { point: "manifest", outcome: "weak", words: `${where}; it carries no hash` },
    ...warnings.map((words): Point => ({ point: "structure", outcome: "weak", words })),
  ];
}

/** One point for all segments of a type that are alike, one for each that is damaged. */
async function segmentPoints(source: Source, { manifest, segments }: Store): Promise<Point[]> {
  const counts = new Map<string, number>();
  const damaged: Point[] = [...manifest.directory]
    .filter((_, index) => !segments[index])
    .map(({ id, type, offset }) =>
      bad("segment", `segment ${id} (${typeName(type)}) is not at byte ${offset}, where the manifest says`),
    );
  for (const segment of segments.filter((one) => one !== undefined)) {
    const { outcome, algorithm } = await checkContent(source, segment);
    if (outcome === "mismatch" || outcome === "unknown") damaged.push(badSegment(segment, algorithm));
    else {
      const key = `${typeName(segment.type)}: ${outcome === "match" ? `${algorithm} matches` : "no hash is set"}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  const alike = [...counts].map(([words, count]): Point => ({
    point: "segments",
    outcome: words.endsWith("matches") ? "good" : "weak",
    words: `${count} x ${words}`,
  }));
  return [...alike, ...damaged];
}

const badSegment = ({ id, type, offset }: SegmentHeader, algorithm: string): Point =>
  bad(
    "segment",
    `segment ${id} (${typeName(type)}) at byte ${offset} does not match its hash (${algorithm})`,
  );

function hashPoints({ image, signature }: Integrity): Point[] {
  return [
    image.outcome === "match"
      ? image.algorithm === "fold"
        ? {
            point: "image hash",
            outcome: "weak",
            words: "a non-cryptographic fold matches: no protection against forgery",
          }
        : { point: "image hash", outcome: "good", words: `${image.algorithm} matches` }
      : image.outcome === "unset"
        ? { point: "image hash", outcome: "weak", words: "none is set" }
        : bad("image hash", "does not match (SHA3-256, SHAKE-256 and fold were tried)"),
    {
      point: "signature",
      outcome: signature.outcome === "valid" ? "good" : signature.outcome === "invalid" ? "bad" : "weak",
      words: signature.words,
    },
  ];
}
