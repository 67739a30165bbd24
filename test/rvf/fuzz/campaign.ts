/** Runs the fuzzer: the corpus as it is, then batch after batch of generated inputs. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { anyCase, bytesOf, type Case } from "./case.js";
import { corpus } from "./corpus.js";
import { Finding, makeOracle, type Oracle } from "./oracle.js";

export interface Progress {
  executions: number;
  /** How often each outcome was seen. */
  outcomes: Record<string, number>;
  /** Growth of memory in use since the first batch, bytes. */
  grown: number;
}

export interface CampaignOptions {
  /** Where a finding is written. */
  folder: string;
  /** Where the input that is being read stands, and scratch caches. */
  work: string;
  seed: number;
  /** Generated inputs; the corpus comes on top. */
  runs: number;
  /** Hears of every input that was read, while a finding is being shrunk too. */
  tell?: (progress: Progress) => void;
  /** Asked between batches; true ends the campaign. */
  enough?: () => boolean;
}

export interface CampaignResult extends Progress {
  finding?: Smallest & { file: string; seed: number; runs: number };
}

interface Smallest {
  words: string;
  bytes: Buffer;
}

const BATCH = 100;
const SHRINK_MILLIS = 120_000;
const MAX_GROWTH = 64 * 1024 * 1024;
/** What a runtime opens for itself now and then. */
const SPARE_DESCRIPTORS = 8;

export async function campaign(options: CampaignOptions): Promise<CampaignResult> {
  const oracle = await makeOracle(options.work);
  try {
    return await new Campaign(options, oracle).run();
  } finally {
    oracle.stop();
  }
}

class Campaign {
  private readonly progress: Progress = { executions: 0, outcomes: {}, grown: 0 };
  private before: { memory: number; descriptors: number } | undefined;

  constructor(
    private readonly options: CampaignOptions,
    private readonly oracle: Oracle,
  ) {}

  async run(): Promise<CampaignResult> {
    const { folder, seed, runs, enough } = this.options;
    const ofCorpus = await this.readCorpus();
    for (let done = 0; done < runs && !enough?.(); done += BATCH) {
      const batch = { seed: seed + done / BATCH, runs: Math.min(BATCH, runs - done) };
      const finding = ofCorpus ?? (await this.runBatch(batch)) ?? this.leaks();
      if (!finding) continue;
      mkdirSync(folder, { recursive: true });
      const file = join(folder, `finding-${batch.seed}.rvf`);
      writeFileSync(file, finding.bytes);
      return { ...this.progress, finding: { ...finding, file, ...batch } };
    }
    return this.progress;
  }

  private async examine(each: Case): Promise<void> {
    const { bytes, expectation } = await bytesOf(each);
    const { executions, outcomes } = this.progress;
    for (const outcome of await this.oracle.examine(bytes, expectation))
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    this.progress.executions = executions + 1;
    this.options.tell?.(this.progress);
  }

  private async readCorpus(): Promise<Smallest | undefined> {
    for (const [index, { name, bytes }] of corpus().entries())
      try {
        await this.examine({ base: { seed: index }, mutations: [], repair: "none" });
      } catch (error) {
        return { words: `${name}: ${messageOf(error)}`, bytes };
      }
    return undefined;
  }

  /** The smallest input with a finding that the library can shrink to, if there is any. */
  private async runBatch({ seed, runs }: { seed: number; runs: number }): Promise<Smallest | undefined> {
    const property = fc.asyncProperty(anyCase, (each) => this.examine(each));
    const result = await fc.check(property, { seed, numRuns: runs, interruptAfterTimeLimit: SHRINK_MILLIS });
    const [smallest] = result.counterexample ?? [];
    if (!smallest) return undefined;
    const words = `${messageOf(result.errorInstance)}\n${fc.stringify(smallest)}`;
    return { words, bytes: (await bytesOf(smallest)).bytes };
  }

  /** What no single input is to blame for: files left open, memory that is never given back. */
  private leaks(): Smallest | undefined {
    const now = { memory: memoryInUse(), descriptors: readdirSync("/dev/fd").length };
    this.before ??= now;
    this.progress.grown = now.memory - this.before.memory;
    const left = now.descriptors - this.before.descriptors;
    const bytes = Buffer.alloc(0);
    if (this.progress.grown > MAX_GROWTH)
      return { words: `memory grew by ${this.progress.grown} bytes`, bytes };
    return left > SPARE_DESCRIPTORS ? { words: `${left} files were left open`, bytes } : undefined;
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Finding
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function memoryInUse(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
