/** Random and streamed access to one regular file, in memory that does not grow with the file. */
import { constants, type BigIntStats } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { fileNotFound, isMissing, MicroVmError, systemErrorCode, type ErrorCode } from "../errors.js";

/** Bytes of a file: `length` from `start` on. */
export interface ByteRange {
  start: number;
  length: number;
}

/** A length or offset from the file. Beyond 2^53 no file reaches, so such a value becomes Infinity and fits nowhere. */
export function readLength(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4);
  return high >= 2 ** 21 ? Infinity : high * 2 ** 32 + bytes.readUInt32LE(at);
}

/** Gives the bytes of a small range; throws the subject's error when the file ends before it. */
export type ReadAt = (start: number, length: number) => Promise<Buffer>;

export interface Source {
  readonly path: string;
  /** The file's length when it was opened, bytes. */
  readonly size: number;
  readonly at: ReadAt;
  /**
   * An `at` for many small reads in a row, with a read-ahead of its own, so that several can go on side by side. What it
   * gives is overwritten by its next read.
   */
  reader(): ReadAt;
  /** A range in pieces. A piece is overwritten by the next one: use it before asking on. */
  stream(range: ByteRange): AsyncGenerator<Buffer>;
  /** Which file this is and in what state, as far as the file system tells. */
  readonly identity: {
    key: string;
    /** When the inode last changed, in ms since 1970. Nobody can set it. */
    changedMs: number;
    /** When it was opened, likewise. */
    openedMs: number;
  };
  /** Whether the file's length or one of its times is another one than when it was opened. */
  changed(): Promise<boolean>;
}

/** The error for a file that somebody wrote to while it was being read. */
export const changedMeanwhile = ({ path }: Source): MicroVmError =>
  new MicroVmError("KernelExtraction", `"${path}" was changed while it was being read.`, {
    hint: "Try again when nobody writes to it.",
  });

/** What a path is for: it decides which error and which input a problem is reported with. */
export type Subject = "rvf" | "image";

const subjects: Record<Subject, { name: string; property: string; invalid: ErrorCode }> = {
  rvf: { name: "RVF", property: "rvfPath", invalid: "RvfInvalid" },
  image: { name: "kernel image", property: "kernelPath", invalid: "InvalidArgument" },
};

/** Small reads are served from one window, so that walking over headers costs few system calls. */
const WINDOW = 16 * 1024;
const CHUNK = 512 * 1024;

/** Opens the file at `path`, hands it to `use` and closes it whatever happens. */
export async function withSource<T>(
  path: string,
  subject: Subject,
  use: (source: Source) => Promise<T>,
): Promise<T> {
  const handle = await openRegular(path, subject);
  try {
    return await use(await sourceOf(handle, path, subject));
  } finally {
    await handle.close();
  }
}

async function openRegular(path: string, subject: Subject): Promise<FileHandle> {
  try {
    refuseIrregular(await stat(path, { bigint: true }), path, subject);
    // A FIFO put there since would make a blocking open wait for a writer for ever.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      refuseIrregular(await handle.stat({ bigint: true }), path, subject);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return handle;
  } catch (error) {
    throw openError(error, path, subject);
  }
}

function refuseIrregular(stats: BigIntStats, path: string, subject: Subject): void {
  if (stats.isFile()) return;
  const { name, property, invalid } = subjects[subject];
  const what = stats.isDirectory()
    ? "a directory"
    : stats.isFIFO()
      ? "a named pipe"
      : stats.isSocket()
        ? "a socket"
        : "a device";
  throw new MicroVmError(invalid, `"${path}" is ${what}; the ${name} must be a regular file.`, { property });
}

function openError(error: unknown, path: string, subject: Subject): MicroVmError {
  if (error instanceof MicroVmError) return error;
  const { name, property } = subjects[subject];
  if (isMissing(error)) return fileNotFound(path, { property, cause: error });
  const why = systemErrorCode(error) ?? String(error);
  return new MicroVmError("Io", `The ${name} "${path}" cannot be read (${why}).`, { property, cause: error });
}

/** Reads from a file that is open already; `path` and `subject` are for the words of errors. */
export async function sourceOf(handle: FileHandle, path: string, subject: Subject): Promise<Source> {
  const { name, property, invalid } = subjects[subject];
  const openedMs = Date.now();
  const opened = await handle.stat({ bigint: true });
  const size = Number(opened.size);

  /** Fills `target` from `position`; the file's own end is the only reason for less. */
  const fill = async (target: Buffer, position: number): Promise<Buffer> => {
    let filled = 0;
    while (filled < target.length) {
      const { bytesRead } = await handle
        .read(target, filled, target.length - filled, position + filled)
        .catch((error: unknown) => {
          throw openError(error, path, subject);
        });
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return target.subarray(0, filled);
  };

  const complete = (bytes: Buffer, start: number, length: number): Buffer => {
    if (bytes.length === length) return bytes;
    const message = `The ${name} "${path}" ends at byte ${start + bytes.length}, within what it should hold.`;
    throw new MicroVmError(invalid, message, { property });
  };

  const readAhead = (reused?: Buffer): ReadAt => {
    let window: { start: number; bytes: Buffer } = { start: 0, bytes: Buffer.alloc(0) };
    return async (start, length) => {
      let { start: from, bytes } = window;
      if (start < from || start + length > from + bytes.length) {
        const wanted = Math.max(length, Math.min(WINDOW, size - start));
        const own = reused && wanted <= WINDOW ? reused.subarray(0, wanted) : Buffer.alloc(wanted);
        bytes = await fill(own, start);
        from = start;
        window = { start, bytes };
      }
      return complete(bytes.subarray(start - from, start - from + length), start, length);
    };
  };

  const { dev, ino, mtimeNs, ctimeNs, ctimeMs } = opened;
  return {
    path,
    size,
    identity: {
      key: [dev, ino, opened.size, mtimeNs, ctimeNs].join(":"),
      changedMs: Number(ctimeMs),
      openedMs,
    },
    at: readAhead(),
    reader: () => readAhead(Buffer.alloc(WINDOW)),
    async *stream({ start, length }) {
      const buffers = [0, 1].map(() => Buffer.alloc(Math.min(CHUNK, length)));
      const read = (done: number): Promise<Buffer> => {
        const wanted = Math.min(CHUNK, length - done);
        const piece = fill(buffers[(done / CHUNK) & 1]!.subarray(0, wanted), start + done);
        // Whoever stops asking is not told of what went wrong further on.
        piece.catch(() => undefined);
        return piece;
      };
      let next = read(0);
      for (let done = 0; done < length; done += CHUNK) {
        const piece = complete(await next, start + done, Math.min(CHUNK, length - done));
        // The next piece is read while this one is worked on.
        if (done + CHUNK < length) next = read(done + CHUNK);
        yield piece;
      }
    },
    async changed() {
      const now = await handle.stat({ bigint: true });
      return now.size !== opened.size || now.mtimeNs !== opened.mtimeNs || now.ctimeNs !== opened.ctimeNs;
    },
  };
}
