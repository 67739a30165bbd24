import type { Series } from "../../bench/benchmark.js";
import { digits, meets, ratio, summarise } from "../../bench/statistics.js";

const series = (samples: number[], failure?: string): Series => ({
  ...{ name: "some", unit: "ms", samples },
  ...(failure !== undefined && { failure }),
});

test("the median is the middle one, or between the two in the middle", () => {
  expect(summarise([9, 1, 4])).toEqual({ median: 4, min: 1, max: 9 });
  expect(summarise([9, 1, 4, 6])).toEqual({ median: 5, min: 1, max: 9 });
});

test("without samples there is no median", () => {
  expect(() => summarise([])).toThrow(RangeError);
});

test("a ratio is taken round by round, not of the medians", () => {
  expect(ratio("r", series([10, 40, 90]), series([10, 10, 10])).samples).toEqual([1, 4, 9]);
});

test("a ratio of a series that failed has failed for the same reason", () => {
  const [fine, failed] = [series([1, 2]), series([1], "no kernel")];
  expect(ratio("r", fine, failed)).toEqual({ name: "r", samples: [], failure: "no kernel" });
  expect(ratio("r", failed, fine).failure).toBe("no kernel");
});

test("a target is met by the value itself", () => {
  expect([meets(2, { atMost: 2 }), meets(2.1, { atMost: 2 })]).toEqual([true, false]);
  expect([meets(2, { atLeast: 2 }), meets(1.9, { atLeast: 2 })]).toEqual([true, false]);
});

test.each([
  [3, "3"],
  [0.0456, "0.046"],
  [1.2345, "1.23"],
  [45.678, "45.7"],
  [4567.8, "4568"],
])("%d is written %s", (value, text) => {
  expect(digits(value)).toBe(text);
});
