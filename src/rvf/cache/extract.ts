/** Takes a kernel and its initramfs out of a file into the cache, or finds that they are there. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { MicroVmError } from "../../errors.js";
import type { PartDigest, Sinks } from "../examine.js";
import { changedMeanwhile, type ByteRange, type Source } from "../source.js";
import { isIntact, startDraft, type Draft } from "./entry.js";
import { recall, remember, type Circumstances, type Known } from "./known.js";

/** What reading a file gives. */
export interface Reading<Facts> {
  facts: Facts;
  kernel: PartDigest;
  initramfs?: PartDigest;
  /** The headers that tell this reading from another one. */
  probe: ByteRange;
  /** Whether a hash in the file vouches for the bytes that went into the sinks. */
  vouched: boolean;
}

/**
 * Lets `read` copy the parts into the cache, which holds them under their SHA-256 afterwards; a file known from before is
 * not read again. Throws TempFile or KernelExtraction where the cache cannot be written, and what `read` throws; then
 * there is no half file.
 */
export async function extractInto<Facts>(
  source: Source,
  cacheDir: string,
  circumstances: Circumstances,
  read: (sinks: Sinks) => Promise<Reading<Facts>>,
): Promise<Known<Facts>> {
  await refuseShared(cacheDir);
  const known = await recall<Facts>(source, cacheDir, circumstances);
  if (known) return known;

  const drafts = new Drafts(cacheDir);
  try {
    const reading = await read({ kernel: drafts.sink("kernel"), initramfs: drafts.sink("initramfs") });
    // What a hash vouched for while it was copied is whole, even where somebody appends to the file meanwhile.
    if ((await source.changed()) && !reading.vouched) throw changedMeanwhile(source);
    const kernelPath = await drafts.keep("kernel", reading.kernel);
    const initramfsPath = reading.initramfs && (await drafts.keep("initramfs", reading.initramfs));
    if (!(await source.changed())) await remember(source, cacheDir, circumstances, reading);
    return { facts: reading.facts, kernelPath, ...(initramfsPath !== undefined && { initramfsPath }) };
  } finally {
    await drafts.dropRest();
  }
}

/** Whoever else may write there could put another kernel in an entry's place before it is booted. */
async function refuseShared(cacheDir: string): Promise<void> {
  const stats = await stat(cacheDir).catch(() => undefined);
  if (stats && (stats.mode & 0o022) !== 0)
    throw new MicroVmError("TempFile", `Others may write to the cache directory "${cacheDir}".`, {
      hint: `Take that from them: chmod go-w ${cacheDir}`,
    });
}

type Part = "kernel" | "initramfs";

/** The drafts of one extraction, each begun with its first bytes. */
class Drafts {
  readonly #cacheDir: string;
  readonly #open = new Map<Part, Draft>();
  /** Why nothing can be written; the entries may be there all the same. */
  #unwritable: unknown;

  constructor(cacheDir: string) {
    this.#cacheDir = cacheDir;
  }

  sink(part: Part): (piece: Buffer) => Promise<void> {
    return async (piece) => {
      if (this.#unwritable) return;
      const draft = this.#open.get(part) ?? (await this.#start(part));
      await draft?.write(piece);
    };
  }

  async #start(part: Part): Promise<Draft | undefined> {
    try {
      const draft = await startDraft(this.#cacheDir);
      this.#open.set(part, draft);
      return draft;
    } catch (error) {
      this.#unwritable = error;
      return undefined;
    }
  }

  async keep(part: Part, digest: PartDigest): Promise<string> {
    const draft = this.#open.get(part);
    if (draft) return await draft.keep(digest);
    const path = join(this.#cacheDir, digest.sha256);
    if (await isIntact(path, digest)) return path;
    throw this.#unwritable;
  }

  async dropRest(): Promise<void> {
    for (const draft of this.#open.values()) await draft.drop();
  }
}
