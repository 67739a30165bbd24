/** Bytes to lines, lines to messages: the part of QMP that needs no socket. */
import { z } from "zod";
import { MicroVmError } from "../errors.js";

/**
 * The longest line taken, in bytes. The longest known one, the reply of query-qmp-schema, has about 207 KB.
 */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;

const LINE_FEED = 0x0a;

/**
 * A function that takes the stream's chunks in order and gives the lines each one completes, without line
 * feeds. Lines are cut as bytes and decoded whole, since a chunk may end inside a character. It throws `Qmp`
 * when an unfinished line grows beyond `maxBytes`.
 */
export function lineSplitter(maxBytes: number = MAX_LINE_BYTES): (chunk: Buffer) => string[] {
  let parts: Buffer[] = [];
  let size = 0;
  return (chunk) => {
    const lines: string[] = [];
    let start = 0;
    for (let end; (end = chunk.indexOf(LINE_FEED, start)) !== -1; start = end + 1) {
      lines.push(Buffer.concat([...parts, chunk.subarray(start, end)]).toString("utf8"));
      parts = [];
      size = 0;
    }
    parts.push(chunk.subarray(start));
    size += chunk.length - start;
    if (size > maxBytes) throw new MicroVmError("Qmp", `the monitor sent a line of over ${maxBytes} bytes`);
    return lines;
  };
}

const version = z.object({
  qemu: z.object({ major: z.number(), minor: z.number(), micro: z.number() }),
  package: z.string().default(""),
});

/** As in the greeting; `package` is the distributor's own version text, often empty. */
export type QemuVersion = z.infer<typeof version>;

const greetingLine = z
  .object({ QMP: z.object({ version }) })
  .transform((line) => ({ kind: "greeting" as const, version: line.QMP.version }));

const eventLine = z
  .object({ event: z.string(), data: z.record(z.string(), z.unknown()).default({}) })
  .transform((line) => ({ kind: "event" as const, name: line.event, data: line.data }));

const successLine = z
  .object({ return: z.unknown(), id: z.unknown().optional() })
  .refine((line) => "return" in line)
  .transform((line) => ({ kind: "success" as const, id: line.id, value: line.return }));

const failureLine = z
  .object({ error: z.object({ class: z.string(), desc: z.string() }), id: z.unknown().optional() })
  .transform((line) => ({ kind: "failure" as const, id: line.id, ...line.error }));

const messageLine = z.union([successLine, failureLine, eventLine, greetingLine]);

/** A line from the monitor. `id` is undefined on a failure whose command could not even be parsed. */
export type QmpMessage = z.infer<typeof messageLine>;

/** What QEMU tells unasked, for example `SHUTDOWN` with the data `{guest, reason}`. */
export type QmpEvent = z.infer<typeof eventLine>;

/** One line as a message. Throws `Qmp` for anything that is none. */
export function parseMessage(line: string): QmpMessage {
  try {
    return messageLine.parse(JSON.parse(line));
  } catch (cause) {
    const evidence = line.length > 200 ? `${line.slice(0, 200)}...` : line;
    throw new MicroVmError("Qmp", "the monitor sent something that is not QMP", { evidence, cause });
  }
}
