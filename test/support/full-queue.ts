/** A host on which as many boots are under way as it has means for. */
import { availableParallelism } from "node:os";
import { inTurn } from "../../src/launcher/start/boot-queue.js";

/** Every other boot waits for its turn, until these places are left again. */
export function fillQueue(): { leave: () => Promise<void> } {
  const places = Array.from({ length: 2 * availableParallelism() }, () => {
    let leave = () => {};
    const left = inTurn({ memoryMb: 1 }, () => new Promise<void>((done) => (leave = done)));
    return { left, leave: () => leave() };
  });
  return {
    async leave() {
      for (const { leave } of places) leave();
      await Promise.all(places.map(({ left }) => left));
    },
  };
}
