/** Counts what the code under test reads from files, by standing between it and Node's file handles. */
import { fstatSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";

export interface Reads {
  calls: number;
  /** Bytes that were read indeed. */
  bytes: number;
  /** Reads that began outside the file, in words. */
  outside: string[];
}

type Read = (...args: unknown[]) => Promise<{ bytesRead: number }>;

/** Counts all reads through file handles from here on, until `stop`. */
export async function meterReads(): Promise<{ take: () => Reads; stop: () => void }> {
  const handle = await open(process.execPath);
  const prototype = Object.getPrototypeOf(handle) as { read: Read; readv: Read };
  await handle.close();
  const { read, readv } = prototype;
  let reads: Reads = { calls: 0, bytes: 0, outside: [] };

  const counted = (method: Read, positionOf: (args: unknown[]) => unknown): Read =>
    async function (this: FileHandle, ...args) {
      const position = positionOf(args);
      if (position !== null && position !== undefined && position !== -1) {
        const { size } = fstatSync(this.fd);
        const start = Number(position);
        // At the end itself a read asks whether the file goes on.
        if (!(start >= 0 && start <= size))
          reads.outside.push(`a read at ${start} in a file of ${size} bytes`);
      }
      reads.calls++;
      const result = await method.apply(this, args);
      reads.bytes += result.bytesRead;
      return result;
    };
  prototype.read = counted(read, readPosition);
  prototype.readv = counted(readv, ([, position]) => position);
  return {
    take: () => {
      const taken = reads;
      reads = { calls: 0, bytes: 0, outside: [] };
      return taken;
    },
    stop: () => Object.assign(prototype, { read, readv }),
  };
}

/** `read` takes (buffer, offset, length, position), (buffer, options) or (options). */
function readPosition([first, second, , fourth]: unknown[]): unknown {
  const options = ArrayBuffer.isView(first) ? second : first;
  return typeof options === "object" && options !== null
    ? (options as { position?: unknown }).position
    : fourth;
}
