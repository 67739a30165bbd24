import { inRounds, seriesOf } from "../../bench/rounds.js";

test("sides take turns in front, and the first round is not kept", async () => {
  const order: string[] = [];
  const side = (name: string) => () => Promise.resolve(order.push(name));
  const { a, b } = await inRounds(2, { a: side("a"), b: side("b") }, () => {});
  expect(order.join("")).toBe("abbaab");
  expect([a.samples, b.samples]).toEqual([
    [4, 5],
    [3, 6],
  ]);
});

test("a side that fails is asked no more, and has its reason; the others go on", async () => {
  let asked = 0;
  const broken = () => (++asked === 2 ? Promise.reject(new Error("no kernel")) : Promise.resolve(asked));
  const outcomes = await inRounds(3, { broken, fine: () => Promise.resolve(7) }, () => {});
  expect(asked).toBe(2);
  expect(outcomes.fine).toEqual({ samples: [7, 7, 7] });
  const series = seriesOf(outcomes.broken, { name: "s", unit: "ms" }, (sample) => sample);
  expect(series.failure).toBe("no kernel");
});
