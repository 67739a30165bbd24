/** Asks a server for the nearest vector. */
import { request, type Agent } from "node:http";

/** A query, and the id of the vector that is nearest to it. */
export interface Question {
  vector: number[];
  id: number;
}

const patienceMs = 30_000;

/** Throws when there is no reply, or a wrong one. Without an agent the connection is a new one. */
export async function ask(port: number, { vector, id }: Question, agent?: Agent): Promise<void> {
  const reply = await replyTo(port, JSON.stringify({ vector, k: 1 }), agent);
  if (!reply.includes(`"id":${id},`))
    throw new WrongAnswer(`${reply} was answered where ${id} is the nearest`);
}

/** A time that leads to it means nothing. */
export class WrongAnswer extends Error {}

const replyTo = (port: number, body: string, agent: Agent | undefined): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const at = { port, path: "/v1/query", method: "POST", agent: agent ?? false, timeout: patienceMs };
    const asked = request({ ...at, headers });
    asked.on("response", (reply) => {
      let text = "";
      reply.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      reply.on("end", () => resolve(text)).on("error", reject);
    });
    asked.on("timeout", () => asked.destroy(new Error(`no reply within ${patienceMs} ms`)));
    asked.on("error", reject);
    asked.end(body);
  });
