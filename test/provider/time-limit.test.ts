import { setTimeout as sleep } from "node:timers/promises";
import type { Inputs } from "../../src/provider/inputs.js";
import { inTime, parseDuration } from "../../src/provider/time-limit.js";

test.each<[string, number]>([
  ["1s", 1000],
  ["1h30m", 5_400_000],
  ["2.5s", 2500],
  [".5m", 30_000],
  ["250ms", 250],
  ["1500us", 1.5],
  ["0s", 0],
])("%s is %d ms", (text, millis) => expect(parseDuration(text)).toBeCloseTo(millis));

test.each(["1000h", "0", "0s", ""])("%j calls nothing off by itself", async (create) => {
  const inputs = { customTimeouts: { create } } as unknown as Inputs;
  expect(
    await inTime("create", inputs, async (signal) => {
      await sleep(50);
      return signal.aborted;
    }),
  ).toBe(false);
});

test("what takes longer is called off, and says so", async () => {
  const inputs = { customTimeouts: { create: "10ms" } } as unknown as Inputs;
  const late = inTime("create", inputs, async (signal) => await sleep(60_000, undefined, { signal }));
  await expect(late).rejects.toMatchObject({
    code: "Timeout",
    message: "the create took longer than customTimeouts allows, 10ms",
  });
});
