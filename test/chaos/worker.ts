/** Inflicts faults on a world. */
import { faults, inflict, type ChaosOrder, type Report } from "./run.js";
import { serve } from "./serve.js";
import { openWorld, type World } from "./world.js";

await serve<ChaosOrder, Report, World>(openWorld, async (world, { fault, seed }) => {
  const row = faults.find(({ name }) => name === fault)!;
  return await inflict(world, row, seed);
});
