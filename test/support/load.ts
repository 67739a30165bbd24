/** Steady queries to a VM while it is changed, and what became of each. */
import { Agent, request, type ClientRequest } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** The clients keep their connection as long as they are let, or make a new one for each query. */
const kinds = ["open", "new"] as const;
const clientsOfEachKind = 3;

/** Between an answer and the client's next query, in milliseconds. */
const pauseMs = 60;

/** After which a query that got no reply is asked once more, as `query` of `src/client` does. */
const retryMs = 100;

/**
 * A guest that drains closes a connection on which nothing comes for a second, as any server may. A client that stood still for long (a busy
 * machine) may meet that, and makes a new one.
 */
const idleMs = 500;

const patienceMs = 30_000;

export interface Question {
  vector: number[];
  /** The ids of its `k` neighbours, nearest first and with commas between, by each content that the VM may have just now. */
  answers: string[];
}

/** While the VM goes from the one content to the other. */
export const either = (one: Question[], other: Question[]): Question[] =>
  one.map(({ vector, answers }, i) => ({ vector, answers: [...answers, ...other[i]!.answers] }));

/** What may change while the load goes on. */
export interface Aim {
  /** Where the VM is reached. A client goes on to the next one where its own refuses it. */
  urls: string[];
  questions: Question[];
}

export interface Tally {
  queries: number;
  /** Connections, new or idle, that were refused or closed before a byte of a reply; they are made once more. */
  refused: number;
  /** Queries without an answer: on an open connection at once, else when the second attempt failed. */
  failed: string[];
  wrong: string[];
}

export interface Load {
  aim: Aim;
  /** What came of the queries since the last call. */
  taken: () => Tally;
  /** How many were asked since then. */
  asked: () => number;
  /** Returns when the last query has its answer. */
  stop: () => Promise<void>;
}

export const k = 5;

/** Begins at once; the aim may be changed while it goes on. */
export function startLoad(first: Aim): Load {
  const empty = (): Tally => ({ queries: 0, refused: 0, failed: [], wrong: [] });
  let tally = empty();
  let stopped = false;
  const load = { aim: first };

  const client = async (kind: (typeof kinds)[number], number: number): Promise<void> => {
    const agent = new Agent({ keepAlive: kind === "open", maxSockets: 1 });
    let url = load.aim.urls[0]!;
    let answeredAt = performance.now();
    for (let turn = number; !stopped; turn++) {
      const before = load.aim;
      const { vector } = before.questions[turn % before.questions.length]!;
      tally.queries++;
      try {
        const isIdle = performance.now() - answeredAt > idleMs;
        const answer = await ask(url, vector, agent, isIdle).catch(async (error: unknown) => {
          if (!(error instanceof Refused)) throw error;
          tally.refused++;
          await sleep(retryMs);
          const { urls } = load.aim;
          url = urls[(urls.indexOf(url) + 1) % urls.length]!;
          return await ask(url, vector, agent, true);
        });
        const possible = [before, load.aim].flatMap(
          ({ questions }) => questions[turn % questions.length]!.answers,
        );
        if (!possible.includes(answer)) tally.wrong.push(`${answer} is none of ${possible.join(" and ")}`);
      } catch (error) {
        tally.failed.push(`on ${kind} connections, at ${url}: ${String(error)}`);
      }
      answeredAt = performance.now();
      await sleep(pauseMs);
    }
    agent.destroy();
  };
  const clients = kinds.flatMap((kind) =>
    Array.from({ length: clientsOfEachKind }, (_, i) => client(kind, i)),
  );
  return Object.assign(load, {
    taken: () => {
      const was = tally;
      tally = empty();
      return was;
    },
    asked: () => tally.queries,
    stop: async () => {
      stopped = true;
      await Promise.all(clients);
    },
  });
}

/** A new connection, or an idle one, that brought no byte of a reply. */
class Refused extends Error {}

async function ask(url: string, vector: number[], agent: Agent, isIdle: boolean): Promise<string> {
  const body = JSON.stringify({ vector, k });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const outgoing = request(`${url}/v1/query`, { method: "POST", headers, agent, timeout: patienceMs });
  outgoing.on("timeout", () => outgoing.destroy(new Error(`no reply within ${patienceMs} ms`)));
  const reply = await replyTo(outgoing, body, isIdle);
  if (!reply.startsWith('{"results"')) throw new Error(reply);
  const { results } = JSON.parse(reply) as { results: { id: number }[] };
  return results.map(({ id }) => id).join();
}

/** Throws Refused. */
const replyTo = async (outgoing: ClientRequest, body: string, isIdle: boolean): Promise<string> =>
  await new Promise((resolve, reject) => {
    outgoing.on("response", (reply) => {
      let text = "";
      reply.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      reply.on("end", () => resolve(text)).on("error", reject);
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      const mayBeGone = outgoing.reusedSocket ? isIdle : !outgoing.socket?.bytesRead;
      const hasEnded = ["ECONNREFUSED", "ECONNRESET", "EPIPE"].includes(error.code ?? "");
      reject(mayBeGone && hasEnded ? new Refused(error.message) : error);
    });
    outgoing.end(body);
  });
