import { parseDuration } from "../../src/provider/time-limit.js";

test.each<[string, number]>([
  ["1s", 1000],
  ["1h30m", 5_400_000],
  ["2.5s", 2500],
  [".5m", 30_000],
  ["250ms", 250],
  ["1500us", 1.5],
  ["0s", 0],
])("%s is %d ms", (text, millis) => expect(parseDuration(text)).toBeCloseTo(millis));
