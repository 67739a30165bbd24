import { stripVTControlCharacters } from "node:util";
import type { Measured } from "../../bench/benchmark.js";
import { describeRun } from "../../bench/report.js";

const measured: Measured = {
  method: ["Measured so."],
  versions: { peer: "1.2.3" },
  series: [
    { name: "fine", unit: "ms", samples: [3, 1, 2], target: { atMost: 1 } },
    { name: "broken", unit: "ms", samples: [1], failure: "no kernel\nnot anywhere", target: { atMost: 1 } },
  ],
  ratios: [{ name: "fine / 2", samples: [1.5, 0.5, 1], target: { atLeast: 1 } }],
};

const machine = { cpu: "abacus", cores: 2, memoryGiB: 4, os: "Linux 1", node: "20.0.0" };

test("the table has median, spread and verdict; a series that failed has its reason instead", () => {
  const run = { format: 1, benchmark: "b", title: "Fine things", at: "", machine, measured } as const;
  const lines = stripVTControlCharacters(describeRun(run)).split("\n");
  expect(lines[0]).toBe("Fine things");
  expect(lines[1]).toContain("abacus, 2 cores, 4 GiB, Linux 1, Node 20.0.0; peer 1.2.3");
  const cells = lines.map((line) => line.split(/ {2,}/));
  expect(cells).toContainEqual(["fine", "2 ms", "1 .. 3", "at most 1: missed"]);
  expect(cells).toContainEqual(["broken", "failed", "no kernel"]);
  expect(cells).toContainEqual(["fine / 2", "1 x", "0.500 .. 1.50", "at least 1: met"]);
});
