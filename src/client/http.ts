/**
 * One HTTP exchange over a connection of its own. Not Node's `fetch`: it refuses ports that a user may well
 * choose (6000, 10080, ...), cannot bound the connecting alone, and keeps connections to guests that come and
 * go.
 */
import { request, type IncomingMessage } from "node:http";
import { MicroVmError, systemErrorCode } from "../errors.js";

export interface Exchange {
  method: "GET" | "POST";
  /** Sent as JSON. */
  json?: unknown;
  /** Bounds the whole exchange, in milliseconds. */
  timeoutMs: number;
  /** Bounds the connecting, in milliseconds; `timeoutMs` does so too. */
  connectTimeoutMs?: number;
  /** How much of the reply's body is read. */
  maxBytes: number;
  signal?: AbortSignal | undefined;
}

export interface HttpReply {
  status: number;
  body: string;
  /** The body goes on after `maxBytes`. */
  truncated: boolean;
}

/** The longest delay that Node's timers hold; they fire at once for a longer one. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** An API path below a guest's base URL. Throws `InvalidArgument` when that is no http URL. */
export function apiUrl(baseUrl: string, path: `/${string}`): URL {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (url?.protocol !== "http:") {
    throw new MicroVmError("InvalidArgument", `not an http:// URL: ${JSON.stringify(baseUrl)}`);
  }
  url.pathname = url.pathname.replace(/\/$/, "") + path;
  url.search = "";
  url.hash = "";
  return url;
}

/** Why there is no reply, in words. */
function words(cause: unknown): string {
  const code = systemErrorCode(cause) ?? "";
  if (code === "ECONNREFUSED") return "connection refused";
  if (code === "ECONNRESET") return "the connection was closed before the reply was complete";
  if (code.startsWith("HPE_")) return "the reply is not HTTP";
  return cause instanceof Error && cause.message ? cause.message : code;
}

const span = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`);

/** The connection was refused, or it closed before the first byte of a reply. */
class NoReply extends Error {}

/** Whether that is why `exchange` threw. */
export const hadNoReply = (error: unknown): boolean => (error as Error).cause instanceof NoReply;

const hint = "`microvm ls` shows the VMs of this host with their URLs, and what is wrong with each.";

/** What Node calls the end of a connection that it did not begin. */
const endings = ["ECONNREFUSED", "ECONNRESET", "EPIPE"];

/**
 * Sends a request and reads the reply, whatever its status. Redirects are not followed.
 * Throws `Timeout`, `Cancelled` by the signal, and `GuestHttp` with the cause when no HTTP reply comes.
 */
export async function exchange(url: URL, options: Exchange): Promise<HttpReply> {
  const { method, json, timeoutMs, connectTimeoutMs = timeoutMs, maxBytes, signal } = options;
  const what = `${method} ${url.origin}${url.pathname}`;
  const headers = json === undefined ? {} : { "content-type": "application/json" };
  const outgoing = request(url, { method, headers, agent: false });

  // A destroyed request reports its reason before the reply's head but not after it: hence kept here.
  let stopped: MicroVmError | undefined;
  const stop = (error: MicroVmError): void => {
    stopped ??= error;
    outgoing.destroy(error);
  };
  const limit = (ms: number, missing: string): NodeJS.Timeout =>
    setTimeout(
      () => stop(new MicroVmError("Timeout", `${what}: no ${missing} within ${span(ms)}`, { hint })),
      Math.min(ms, MAX_TIMER_MS),
    );
  const cancel = (): void =>
    stop(new MicroVmError("Cancelled", `${what}: stopped`, { cause: signal?.reason }));
  const wholeLimit = limit(timeoutMs, "complete reply");
  const connectLimit = limit(connectTimeoutMs, "connection");
  outgoing.once("socket", (socket) => socket.once("connect", () => clearTimeout(connectLimit)));
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted) cancel();

  try {
    const reply = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once("response", resolve);
      outgoing.on("error", reject);
      outgoing.end(json === undefined ? undefined : JSON.stringify(json));
    });
    return { status: reply.statusCode ?? 0, ...(await readBody(reply, maxBytes)) };
  } catch (cause) {
    const hasEnded = endings.includes(systemErrorCode(cause) ?? "") && !outgoing.socket?.bytesRead;
    const why = hasEnded ? new NoReply(words(cause), { cause }) : cause;
    throw stopped ?? new MicroVmError("GuestHttp", `${what}: ${words(cause)}`, { cause: why, hint });
  } finally {
    clearTimeout(wholeLimit);
    clearTimeout(connectLimit);
    signal?.removeEventListener("abort", cancel);
    outgoing.destroy();
  }
}

async function readBody(
  reply: IncomingMessage,
  maxBytes: number,
): Promise<{ body: string; truncated: boolean }> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxBytes) break;
  }
  return { body: Buffer.concat(chunks).subarray(0, maxBytes).toString("utf8"), truncated: size > maxBytes };
}

/** A guest's own text on one line, harmless to a terminal. */
export function oneLine(text: string): string {
  const line = text
    .slice(0, 1000)
    .replace(/[\p{Cc}\s]+/gu, " ")
    .trim();
  return line.length > 300 ? `${line.slice(0, 300)}...` : line;
}
