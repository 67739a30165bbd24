/** Makes the VM what the inputs say: a relaunch as its next generation, or nothing where it already is. */
import { updateVm } from "../launcher/index.js";
import { leaving } from "./engine.js";
import { nameOf, outputsOf, specOf, type Inputs, type State } from "./inputs.js";
import { newsOf } from "./words.js";

export async function update(id: string, olds: Partial<State>, news: Inputs): Promise<{ outs: State }> {
  const name = nameOf(news);
  // Ports that were chosen once stay, even if the record was removed in between.
  const formerPorts = { boundApiPort: olds.boundApiPort, boundSshPort: olds.boundSshPort ?? undefined };
  const options = { name, owner: news.owner, signal: leaving, formerPorts, onProgress: newsOf(name) };
  return { outs: { ...news, ...outputsOf(await updateVm(id, specOf(news), options)) } };
}
