/** Makes the VM what the inputs say: a relaunch as its next generation, or nothing where it already is. */
import { updateVm } from "../launcher/index.js";
import { nameOf } from "./create.js";
import { making } from "./engine.js";
import { outputsOf, specOf, type Inputs, type State } from "./inputs.js";
import { speakable } from "./words.js";

export async function update(id: string, _olds: State, news: Inputs): Promise<{ outs: State }> {
  return await speakable(
    making(async (signal) => {
      const status = await updateVm(id, specOf(news), { name: nameOf(news), owner: news.owner, signal });
      return { outs: { ...news, ...outputsOf(status) } };
    }),
  );
}
