/** Vector queries against a guest. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { MicroVmError } from "../errors.js";
import { apiUrl, exchange, hadNoReply, oneLine, type HttpReply } from "./http.js";

/** A stored vector near the one asked for. */
export interface Neighbour {
  id: number;
  /** In the store's metric; smaller is nearer. */
  distance: number;
}

export interface QueryOptions {
  /** Bounds the TCP connect, in milliseconds. Default 5000. */
  connectTimeoutMs?: number;
  /** Bounds the whole query, in milliseconds. Default 30000. */
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

// An id has 64 bits in the guest, and JSON.parse rounds those beyond 2^53 - 1. z.int() refuses them: better
// no answer than one that names another vector.
const neighbours = z.array(z.object({ id: z.int().nonnegative(), distance: z.number() }));

/** rvf-server's request path and reply, then the unversioned ones. */
const dialects = [
  { path: "/v1/query", reply: z.object({ results: neighbours }).transform(({ results }) => results) },
  { path: "/query", reply: neighbours },
] as const;

/** Until a port that moves from one VM to another has done so, also on a busy host (18 were seen), in milliseconds. */
const MOVE_MS = 100;

const MAX_BYTES = 64 * 1024 * 1024;

/**
 * The `k` stored vectors nearest to `vector`, nearest first, from the guest at `baseUrl` (`MicroVm`'s output
 * `url`). Throws `InvalidArgument` before anything is sent, `GuestHttp` with the status and the guest's own
 * text, also for an id beyond 2^53 - 1, `Timeout`, and `Cancelled` by the signal.
 */
export async function query(
  baseUrl: string,
  vector: ArrayLike<number>,
  k: number,
  { connectTimeoutMs = 5000, timeoutMs = 30_000, signal }: QueryOptions = {},
): Promise<Neighbour[]> {
  const json = checkedRequest(vector, k);
  const deadline = performance.now() + timeoutMs;
  const post = (url: URL): Promise<HttpReply> => {
    const left = Math.max(deadline - performance.now(), 1);
    return exchange(url, {
      method: "POST",
      json,
      timeoutMs: left,
      connectTimeoutMs,
      maxBytes: MAX_BYTES,
      signal,
    });
  };
  let refusal = "";
  for (const { path, reply } of dialects) {
    const http = await onceMore(() => post(apiUrl(baseUrl, path)));
    if (http.status === 200) return parseReply(path, http, reply);
    const refused = `POST ${path}: ${http.status} ${guestText(http.body)}`.trimEnd();
    // 404 or 405: the server may speak the other dialect. If it speaks neither, the first refusal says most.
    if (http.status !== 404 && http.status !== 405) throw new MicroVmError("GuestHttp", refused);
    refusal ||= refused;
  }
  throw new MicroVmError("GuestHttp", refusal);
}

/** Throws `InvalidArgument`. Components must fit the store's 32-bit floats. */
function checkedRequest(vector: ArrayLike<number>, k: number): { vector: number[]; k: number } {
  const components: unknown[] = Array.from(vector ?? []);
  const odd = components.findIndex((x) => typeof x !== "number" || !Number.isFinite(Math.fround(x)));
  if (components.length === 0) throw new MicroVmError("InvalidArgument", "the vector is empty");
  if (odd !== -1) {
    const shown = String(components[odd]);
    throw new MicroVmError("InvalidArgument", `vector[${odd}] is ${shown}: not a finite 32-bit float`);
  }
  if (!Number.isSafeInteger(k) || k < 1) {
    throw new MicroVmError("InvalidArgument", `k is ${String(k)}: not a positive integer`);
  }
  return { vector: components as number[], k };
}

/**
 * Tries once more when no byte of a reply came: while a port moves, a connection is refused, or closed that the kernel had accepted for the
 * VM that has it no more. A query changes nothing, so it may have been answered before.
 */
async function onceMore(attempt: () => Promise<HttpReply>): Promise<HttpReply> {
  try {
    return await attempt();
  } catch (error) {
    if (!hadNoReply(error)) throw error;
    await sleep(MOVE_MS);
    return attempt();
  }
}

function parseReply(
  path: string,
  { body, truncated }: HttpReply,
  schema: z.ZodType<Neighbour[]>,
): Neighbour[] {
  if (truncated)
    throw new MicroVmError("GuestHttp", `POST ${path}: the reply has more than ${MAX_BYTES} bytes`);
  try {
    return schema.parse(JSON.parse(body));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : "not JSON";
    throw new MicroVmError("GuestHttp", `POST ${path}: unexpected reply: ${oneLine(why)}`, {
      evidence: oneLine(body),
      cause,
    });
  }
}

/** What a guest says about a refusal: `{"error": text}` or plain text. */
function guestText(body: string): string {
  const refusal = z.object({ error: z.string() });
  try {
    return oneLine(refusal.parse(JSON.parse(body)).error);
  } catch {
    return oneLine(body);
  }
}
