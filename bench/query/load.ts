/** What a server does under questions: how long one takes, and how many a second it answers. */
import { Agent } from "node:http";
import { ask, type Question } from "../ask.js";

/** How long each of the two is measured, in milliseconds. */
const SPAN_MS = 1000;
const CLIENTS = 8;

export interface Load {
  /** Milliseconds, the median of questions that come one after the other on one connection. */
  latency: number;
  /** Answers a second to clients on a connection each that ask without a pause. */
  perSecond: number;
}

/** Throws where an answer is wrong or missing. */
export async function loadOn(port: number, questions: readonly Question[]): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  try {
    const [alone] = await inTurn(1, port, questions, agent);
    const start = performance.now();
    const many = await inTurn(CLIENTS, port, questions, agent);
    const seconds = (performance.now() - start) / 1000;
    const sorted = alone!.toSorted((a, b) => a - b);
    return { latency: sorted[sorted.length >> 1]!, perSecond: many.flat().length / seconds };
  } finally {
    agent.destroy();
  }
}

/** So many clients ask for the span; for each, how long its answers took. */
async function inTurn(
  clients: number,
  port: number,
  questions: readonly Question[],
  agent: Agent,
): Promise<number[][]> {
  const end = performance.now() + SPAN_MS;
  const client = async (turn: number): Promise<number[]> => {
    const times: number[] = [];
    do {
      const start = performance.now();
      await ask(port, questions[(turn + times.length) % questions.length]!, agent);
      times.push(performance.now() - start);
    } while (performance.now() < end);
    return times;
  };
  return await Promise.all(Array.from({ length: clients }, (_, turn) => client(turn)));
}
