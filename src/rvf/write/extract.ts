/** Copies the kernel of an RVF into files of the user's choice. */
import { randomUUID } from "node:crypto";
import { lstat, open, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { resolve } from "node:path";
import { MicroVmError } from "../../errors.js";
import { examineKernel, type PartDigest, type Sink } from "../examine.js";
import { noKernel, openStore } from "../format/store.js";
import { fileReport, integrityReport, kernelReport, type RvfReport } from "../report.js";
import { changedMeanwhile, withSource } from "../source.js";
import { parsePublicKey } from "../verify/keys.js";
import { judge, type Verification } from "../verify/policy.js";
import { stopIfAsked, writing } from "./output.js";

export interface ExtractToOptions {
  /** The file for the kernel; an existing one is replaced, as long as it is a regular file and not the RVF itself. */
  kernel: string;
  /** The file for an initramfs behind the kernel, which is left out otherwise. */
  initramfs?: string | undefined;
  /** See `Trust`. */
  verification?: Verification | undefined;
  trustedKeys?: readonly string[] | undefined;
  /** Stops the writing; nothing is left behind then. */
  signal?: AbortSignal | undefined;
}

export interface WrittenFiles {
  kernel: string;
  initramfs: string | null;
}

/**
 * Writes kernel and initramfs and describes the RVF as `inspectRvf` does. Throws as `readKernel` does, InvalidArgument for
 * an output that must not be replaced or if an initramfs is wanted and there is none, Cancelled, and Io where the files
 * cannot be written. Then neither file is touched, but where the initramfs is in its place and the kernel cannot be put
 * into its own: so an initramfs may be newer than the kernel beside it, never the other way round.
 */
export function extractToFiles(
  path: string,
  { kernel, initramfs, verification = "lenient", trustedKeys = [], signal }: ExtractToOptions,
): Promise<RvfReport & { written: WrittenFiles }> {
  const keys = trustedKeys.map(parsePublicKey);
  return withSource(path, "rvf", async (source) => {
    const outputs = [
      new Output(kernel, signal),
      ...(initramfs === undefined ? [] : [new Output(initramfs, signal)]),
    ] as const;
    const [kernelOut, initramfsOut] = outputs;
    await refuseOutputs(path, [kernel, ...(initramfs === undefined ? [] : [initramfs])]);
    try {
      const store = await openStore(source);
      const sinks = { kernel: kernelOut.sink, ...(initramfsOut && { initramfs: initramfsOut.sink }) };
      const examined = await examineKernel(source, store, keys, sinks);
      if (!examined) throw noKernel(source, store);
      const warnings = [...store.warnings, ...judge(examined.integrity, verification), ...examined.warnings];
      if (initramfsOut) requireInitramfs(path, examined.initramfs);
      if (await source.changed()) throw changedMeanwhile(source);
      stopIfAsked(signal);
      // All that can fail for want of room is done before the first is replaced.
      for (const output of outputs) await output.flush();
      for (const output of outputs.toReversed()) await output.put();
      return {
        ...fileReport(source, store),
        kernel: kernelReport(examined),
        integrity: integrityReport(examined.integrity),
        warnings,
        written: { kernel, initramfs: initramfs ?? null },
      };
    } finally {
      for (const output of outputs) await output.drop();
    }
  });
}

/** Only plain files are replaced: a rename onto /dev/stdout or onto the store itself would take them away. */
async function refuseOutputs(path: string, outputs: string[]): Promise<void> {
  const refused = (words: string): MicroVmError =>
    new MicroVmError("InvalidArgument", words, { hint: "Name another file for the output." });
  if (new Set(outputs.map((out) => resolve(out))).size < outputs.length)
    throw refused(`"${outputs[0]}" cannot be both the kernel and the initramfs.`);
  const input = await stat(path, { bigint: true });
  for (const out of outputs) {
    const there = await lstat(out, { bigint: true }).catch(() => undefined);
    if (there && !there.isFile()) throw refused(`"${out}" is there already and is no regular file.`);
    if (there?.dev === input.dev && there.ino === input.ino)
      throw refused(`"${out}" is the input itself, which is never changed.`);
  }
}

function requireInitramfs(path: string, initramfs: PartDigest | undefined): void {
  if (!initramfs)
    throw new MicroVmError("InvalidArgument", `The kernel of "${path}" has no initramfs behind it.`, {
      hint: "Leave --initramfs out.",
    });
}

/** A file that appears under its name when it is complete, or not at all. */
class Output {
  readonly #path: string;
  readonly #partial: string;
  readonly #signal: AbortSignal | undefined;
  #file: FileHandle | undefined;

  constructor(path: string, signal: AbortSignal | undefined) {
    this.#path = path;
    this.#signal = signal;
    // Beside it, so that putting it in place is a rename within one file system.
    this.#partial = `${path}.${randomUUID()}.partial`;
  }

  readonly sink: Sink = (piece) =>
    writing(this.#path, async () => {
      stopIfAsked(this.#signal);
      this.#file ??= await open(this.#partial, "wx");
      await this.#file.writeFile(piece);
    });

  flush(): Promise<void> {
    return writing(this.#path, async () => this.#file?.sync());
  }

  put(): Promise<void> {
    return writing(this.#path, () => rename(this.#partial, this.#path));
  }

  async drop(): Promise<void> {
    await this.#file?.close();
    await rm(this.#partial, { force: true }).catch(() => undefined);
  }
}
