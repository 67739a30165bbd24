/** A host on which as many boots are under way as it has means for. */
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { inTurn } from "../../src/launcher/start/boot-queue.js";

/** Every other boot waits for its turn, until these places are left again. */
export async function fillQueue(): Promise<{ leave: () => Promise<void> }> {
  const left = new AbortController();
  const begun: Promise<void>[] = [];
  const places = Array.from({ length: 2 * availableParallelism() }, () => {
    let begin = () => {};
    begun.push(new Promise((done) => (begin = done)));
    return inTurn({ memoryMb: 1 }, async () => {
      begin();
      await once(left.signal, "abort");
    });
  });
  // A place that cannot be had fails, and then so does this.
  await Promise.race([Promise.all(begun), Promise.all(places)]);
  return {
    async leave() {
      left.abort();
      await Promise.all(places);
    },
  };
}
