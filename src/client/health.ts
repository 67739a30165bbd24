/**
 * Whether a guest's service is up. Only HTTP tells: QEMU's user network accepts a TCP connection for any
 * guest.
 */
import { MicroVmError } from "../errors.js";
import { apiUrl, exchange, oneLine } from "./http.js";

export interface Health {
  /** An HTTP server replied, with whatever status. */
  replied: boolean;
  /** The same, and not with a 5xx status. */
  answers: boolean;
  /** A health endpoint said `{"status":"ok"}`. */
  healthy: boolean;
  /** What was seen, in one line, for a person. */
  detail: string;
}

/** rvf-server's path, then the unversioned one. */
const HEALTH_PATHS = ["/v1/health", "/health"] as const;

const MAX_BYTES = 64 * 1024;

/**
 * Probes the guest's health endpoints once, within `timeoutMs` (default 1000) for both together. A server
 * without them still `answers`. Throws `InvalidArgument` for a bad URL and `Cancelled` by the signal, nothing
 * else.
 */
export async function probeHealth(
  baseUrl: string,
  { timeoutMs = 1000, signal }: { timeoutMs?: number; signal?: AbortSignal | undefined } = {},
): Promise<Health> {
  const deadline = performance.now() + timeoutMs;
  let replied = false;
  let detail = "";
  for (const path of HEALTH_PATHS) {
    const url = apiUrl(baseUrl, path);
    const left = Math.max(deadline - performance.now(), 1);
    try {
      const reply = await exchange(url, { method: "GET", timeoutMs: left, maxBytes: MAX_BYTES, signal });
      detail = oneLine(`GET ${path}: ${reply.status} ${reply.body}`);
      replied = true;
      if (reply.status >= 500) return { replied, answers: false, healthy: false, detail };
      if (reply.status === 200 && saysOk(reply.body))
        return { replied, answers: true, healthy: true, detail };
    } catch (error) {
      if (!(error instanceof MicroVmError) || error.code === "Cancelled") throw error;
      return { replied, answers: false, healthy: false, detail: error.message };
    }
  }
  return { replied, answers: true, healthy: false, detail };
}

function saysOk(body: string): boolean {
  try {
    return (JSON.parse(body) as { status?: unknown } | null)?.status === "ok";
  } catch {
    return false;
  }
}
