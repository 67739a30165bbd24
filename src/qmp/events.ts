/** The events on their way to one reader. */
import { MicroVmError } from "../errors.js";
import { cancelled } from "./deferred.js";
import type { QmpEvent, QmpMessage } from "./framing.js";
import type { End, Listener } from "./listener.js";

/**
 * How much may wait for a reader, in characters of the lines that the events came in: thousands of real events,
 * which have about 150 each.
 */
export const MAX_UNREAD = 1024 * 1024;

export interface EventsOptions {
  /** Only events of this name. */
  name?: string | undefined;
  /** Ends the iterator with `Cancelled`. */
  signal?: AbortSignal | undefined;
}

type Step = IteratorResult<QmpEvent, undefined>;

/**
 * Keeps events in order until they are read. However it ends, the reader first gets every event from before,
 * then the failure if there is one.
 */
export class EventQueue implements Listener, AsyncIterableIterator<QmpEvent, undefined> {
  private readonly unread: { event: QmpEvent; length: number }[] = [];
  private unreadLength = 0;
  private readonly readers: ((step: Promise<Step>) => void)[] = [];
  private finished = false;
  private failure: MicroVmError | undefined;

  /** Listens among `listeners` until it ends. */
  constructor(
    private readonly listeners: Set<Listener>,
    private readonly options: EventsOptions,
  ) {
    listeners.add(this);
    options.signal?.addEventListener("abort", this.cancel, { once: true });
    if (options.signal?.aborted) this.cancel();
  }

  message(message: QmpMessage, length: number): void {
    const { name } = this.options;
    if (message.kind !== "event" || (name !== undefined && name !== message.name)) return;
    if (this.unreadLength >= MAX_UNREAD) {
      const words = `an event was lost: ${this.unread.length} before it were not read`;
      this.finish(new MicroVmError("Qmp", words));
      return;
    }
    this.unread.push({ event: message, length });
    this.unreadLength += length;
    this.readers.shift()?.(this.next());
  }

  end({ failure, closed }: End): void {
    this.finish(closed ? undefined : failure);
  }

  async next(): Promise<Step> {
    const oldest = this.unread.shift();
    if (oldest) {
      this.unreadLength -= oldest.length;
      return { value: oldest.event, done: false };
    }
    if (!this.finished) return await new Promise<Step>((resolve) => this.readers.push(resolve));
    const { failure } = this;
    this.failure = undefined;
    if (failure) throw failure;
    return { value: undefined, done: true };
  }

  async return(): Promise<Step> {
    this.finish();
    this.unread.length = 0;
    this.failure = undefined;
    return await this.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  private readonly cancel = (): void => this.finish(cancelled(this.options.signal));

  private finish(failure?: MicroVmError): void {
    if (this.finished) return;
    this.finished = true;
    this.failure = failure;
    this.options.signal?.removeEventListener("abort", this.cancel);
    this.listeners.delete(this);
    for (const reader of this.readers.splice(0)) reader(this.next());
  }
}
