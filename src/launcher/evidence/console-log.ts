/** Reads a guest's console out of its two files (keeper.ts), also while it is written. */
import { open, type FileHandle } from "node:fs/promises";
import { systemErrorCode } from "../../errors.js";
import { formerConsole } from "../start/keeper.js";

interface OpenFile {
  handle: FileHandle;
  inode: bigint;
}

/**
 * From the oldest byte that is left to the newest. An open file stays readable when it is moved or removed, and nobody else
 * gets its inode: no byte comes twice, and one is lost only where the guest fills a whole file between two calls of `rest`.
 */
export class ConsoleLog implements AsyncDisposable {
  /** The one that is being read and, during `rest`, those after it. */
  readonly #files: OpenFile[] = [];

  constructor(private readonly path: string) {}

  /** What was written since the last call; all that is left, at the first. */
  async *rest(): AsyncGenerator<Uint8Array, void> {
    // In this order: nothing more is written to a file that another follows.
    this.#files.push(...(await this.#newer()));
    for (;;) {
      const [first, second] = this.#files;
      if (first) yield* restOf(first);
      if (!second) return;
      await this.#files.shift()?.handle.close();
    }
  }

  /** The files after the one that is being read, opened. */
  async #newer(): Promise<OpenFile[]> {
    // The current one first: should it be moved meanwhile, it is met twice and not missed.
    const current = await openIfThere(this.path);
    const former = await openIfThere(formerConsole(this.path));
    const files = [former, current].filter((file) => file !== undefined);
    const isKnown = ({ inode }: OpenFile) => this.#files.some((file) => file.inode === inode);
    // One that is known but gone was followed by the older of those that are there.
    const after = files.findLastIndex(isKnown);
    const newer: OpenFile[] = [];
    for (const [index, file] of files.entries()) {
      if (index > after && file.inode !== newer[0]?.inode) newer.push(file);
      else await file.handle.close();
    }
    return newer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#files.splice(0).map(({ handle }) => handle.close()));
  }
}

/** Up to its size as it is now, so that a guest that floods it does not keep its reader for ever. */
async function* restOf({ handle }: OpenFile): AsyncGenerator<Uint8Array, void> {
  const { size } = await handle.stat();
  for (let read = 0; read < size;) {
    const { buffer, bytesRead } = await handle.read();
    if (bytesRead === 0) return;
    read += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function openIfThere(path: string): Promise<OpenFile | undefined> {
  try {
    const handle = await open(path);
    return { handle, inode: (await handle.stat({ bigint: true })).ino };
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
