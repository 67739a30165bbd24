/** Makes the VM what the inputs say: a relaunch as its next generation, or nothing where it already is. */
import { isDeepStrictEqual } from "node:util";
import { statusOf, updateVm, type VmStatus } from "../launcher/index.js";
import { InitFailure } from "./init-failure.js";
import { nameOf, outputsOf, specOf, type Inputs, type State } from "./inputs.js";
import { inTime } from "./time-limit.js";
import { newsOf } from "./words.js";

export async function update(id: string, olds: State, news: Inputs): Promise<{ outs: State }> {
  const name = nameOf(news);
  // Ports that were chosen once stay, even if the record was removed in between.
  const formerPorts = { boundApiPort: olds.boundApiPort, boundSshPort: olds.boundSshPort ?? undefined };
  const options = { name, owner: news.owner, formerPorts, onProgress: newsOf(news) };
  let status: VmStatus;
  try {
    status = await inTime("update", news, (signal) =>
      updateVm(id, specOf(news), { ...options, signal, keepUnready: true }),
    );
  } catch (error) {
    throw await asStateTells(id, olds, error);
  }
  return { outs: { ...news, ...outputsOf(status) } };
}

/** The error as it is where the VM still is what the state says; else with what it is now, by the inputs that it had. */
async function asStateTells(id: string, olds: State, error: unknown): Promise<unknown> {
  const status = await statusOf(id).catch(() => undefined);
  if (status === undefined) return error;
  const properties = { ...olds, ...outputsOf(status) };
  return isDeepStrictEqual(properties, olds) ? error : new InitFailure(id, properties, error);
}
