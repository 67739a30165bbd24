/**
 * One connection to a monitor: greeting, commands with ids, events, and an end that leaves nobody waiting.
 */
import type { Socket } from "node:net";
import { MicroVmError, systemErrorCode } from "../errors.js";
import { deferred } from "./deferred.js";
import { EventQueue, type EventsOptions } from "./events.js";
import { lineSplitter, parseMessage, type QemuVersion, type QmpEvent, type QmpMessage } from "./framing.js";
import type { End, Listener } from "./listener.js";

export interface WaitOptions {
  /** How long to wait, in milliseconds. */
  timeoutMs?: number | undefined;
  /** Stops the waiting with `Cancelled`. */
  signal?: AbortSignal | undefined;
}

const connectFailures: Record<string, string> = {
  ENOENT: "there is no socket for QEMU's monitor",
  ECONNREFUSED: "nobody listens on the socket of QEMU's monitor",
  EAGAIN: "another client holds the monitor, and more are waiting for it",
};

/** What a failed socket means, in words. */
function broken(cause: Error): MicroVmError {
  const words = connectFailures[systemErrorCode(cause) ?? ""] ?? "the connection to QEMU's monitor broke";
  return new MicroVmError("QmpIo", `${words} (${cause.message})`, { cause });
}

/** A connection as `connectQmp` gives it; `await using` closes it. */
export class QmpConnection implements AsyncDisposable {
  /** QEMU's version, from the greeting. */
  version!: QemuVersion;
  /**
   * Resolves, never rejects, when the connection is over, whoever ended it: QEMU's own end is the usual
   * cause.
   */
  readonly closed: Promise<void>;

  private readonly listeners = new Set<Listener>();
  private lastId = 0;
  private over: End | undefined;

  constructor(
    private readonly socket: Socket,
    private readonly timeoutMs: number,
  ) {
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    const lines = lineSplitter();
    socket.on("data", (chunk) => {
      try {
        for (const line of lines(chunk)) this.receive(line);
      } catch (error) {
        this.end(error as MicroVmError);
      }
    });
    socket.on("error", (error) => this.end(broken(error)));
    socket.on("close", () => this.end(new MicroVmError("QmpIo", "QEMU's monitor closed the connection")));
  }

  /** True as soon as the connection is over. */
  get ended(): boolean {
    return this.over !== undefined;
  }

  /** Awaits the greeting and leaves QMP's negotiation mode: once, before anything else. */
  async negotiate({ timeoutMs = this.timeoutMs, signal }: WaitOptions): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    const late = (): MicroVmError =>
      this.socket.connecting
        ? new MicroVmError("QmpIo", `no connection to QEMU's monitor within ${this.timeoutMs} ms`)
        : new MicroVmError(
            "QmpIo",
            `no greeting within ${this.timeoutMs} ms: another client holds the monitor`,
            {
              hint: "A monitor serves one client at a time; a QEMU process that is stopped looks the same.",
            },
          );
    const greeting = await this.wait((message) => (message.kind === "greeting" ? message : undefined), late, {
      timeoutMs,
      signal,
    });
    this.version = greeting.version;
    await this.execute("qmp_capabilities", {}, { timeoutMs: deadline - performance.now(), signal });
  }

  /**
   * Runs a command and gives its `return` value, within `timeoutMs` (default: the connection's). Throws `Qmp`
   * with QEMU's error class and text when it is refused, `QmpIo` when the connection breaks or no reply comes
   * in time, `Cancelled` by the signal. A command that was given up may still be carried out.
   */
  async execute(
    command: string,
    args: Record<string, unknown> = {},
    options?: WaitOptions,
  ): Promise<unknown> {
    const id = ++this.lastId;
    const line = `${JSON.stringify({ execute: command, arguments: args, id })}\n`;
    const reply = this.wait(
      (message) => ("id" in message && message.id === id ? message : undefined),
      () => new MicroVmError("QmpIo", `QMP ${command}: no reply in time`),
      options,
    );
    if (!this.ended) this.socket.write(line);
    const message = await reply;
    if (message.kind === "success") return message.value;
    throw new MicroVmError("Qmp", `QMP ${command} was refused: ${message.class}: ${message.desc}`);
  }

  /**
   * The next event of this name, with bounds and errors as for `execute`. Events come before the reply to the
   * command that causes them: so call this before `execute` and await it after.
   */
  once(name: string, options?: WaitOptions): Promise<QmpEvent> {
    return this.wait(
      (message) => (message.kind === "event" && message.name === name ? message : undefined),
      () => new MicroVmError("QmpIo", `QMP event ${name} did not come in time`),
      options,
    );
  }

  /**
   * The events from this call on, in order, for one `for await` loop; leave the loop, or call `return`, to stop.
   * It ends by `close`, and throws whatever else ends the connection, `Cancelled` by the signal, and `Qmp` when
   * over 1 MiB of events wait to be read; always after the events that came before. To miss no change, call this
   * first and ask for the state (`queryStatus`) after.
   */
  events(options: EventsOptions = {}): AsyncIterableIterator<QmpEvent, undefined> {
    const queue = new EventQueue(this.listeners, options);
    if (this.over) queue.end(this.over);
    return queue;
  }

  /** Ends the connection. QEMU runs on and takes the next client. */
  async close(): Promise<void> {
    this.end(new MicroVmError("QmpIo", "the connection to QEMU's monitor was closed"), true);
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * The first message that `pick` makes something of. Not async: its caller may drop a promise that fails.
   */
  private wait<T>(
    pick: (message: QmpMessage) => T | undefined,
    late: () => MicroVmError,
    { timeoutMs = this.timeoutMs, signal }: WaitOptions = {},
  ): Promise<T> {
    const picked = deferred<T>(timeoutMs, late, signal);
    const listener: Listener = {
      message: (message) => {
        const found = pick(message);
        if (found !== undefined) picked.resolve(found);
      },
      end: ({ failure }) => picked.reject(failure),
    };
    this.listeners.add(listener);
    if (this.over) listener.end(this.over);
    const forget = (): void => void this.listeners.delete(listener);
    picked.promise.then(forget, forget);
    return picked.promise;
  }

  private receive(line: string): void {
    if (line.trim() === "") return;
    const message = parseMessage(line);
    // QEMU leaves the id out when it could not parse the command: some command will never have its reply.
    if (message.kind === "failure" && message.id === undefined) {
      throw new MicroVmError("Qmp", `QEMU's monitor did not understand: ${message.class}: ${message.desc}`);
    }
    for (const listener of this.listeners) listener.message(message, line.length);
  }

  private end(failure: MicroVmError, closed = false): void {
    this.over ??= { failure, closed };
    this.socket.destroy();
    for (const listener of this.listeners) listener.end(this.over);
  }
}
