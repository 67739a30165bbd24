import type { Chart } from "../../bench/charts/chart.js";
import { drawChart } from "../../bench/charts/index.js";
import { magnitudes, stepsTo } from "../../bench/charts/scale.js";

const measured: Record<string, { median: number; min: number; max: number }> = {
  small: { median: 10, min: 8, max: 12 },
  large: { median: 30, min: 25, max: 50 },
};

const draw = (chart: Chart): string => drawChart(chart, (series) => measured[series]);

/** Where bars begin and how long they are: nothing else is that high. */
const boxes = (svg: string): { x: number; width: number }[] =>
  [...svg.matchAll(/<rect x="(.*?)" y=".*?" width="(.*?)" height="18"/g)].map(([, x, width]) => ({
    x: Number(x),
    width: Number(width),
  }));

test("bars are as long as their medians, and told in numbers", () => {
  const svg = draw({
    ...{ kind: "bars", name: "n", title: "Two" },
    bars: [
      { label: "one", series: ["small"] },
      { label: "other", series: ["large"] },
    ],
  });
  const [small, large] = boxes(svg);
  expect(large!.width / small!.width).toBeCloseTo(3, 1);
  for (const words of ["Two", "one", "other", "10", "30"]) expect(svg).toContain(`>${words}<`);
});

test("pieces of a bar lie end to end; the number is their sum", () => {
  const svg = draw({
    ...{ kind: "bars", name: "n", title: "Stacked", pieces: ["first", "then"] },
    bars: [{ label: "all", series: ["small", "large"] }],
  });
  const [first, then] = boxes(svg);
  expect(then!.x).toBeCloseTo(first!.x + first!.width, 0);
  for (const words of ["first", "then", "40"]) expect(svg).toContain(`>${words}<`);
});

test("a bar whose series was not measured says so", () => {
  const svg = draw({ kind: "bars", name: "n", title: "T", bars: [{ label: "gone", series: ["none"] }] });
  expect(svg).toContain(">failed<");
});

test("a curve goes through what was measured and leaves the rest out", () => {
  const points = ["small", "none", "large"].map((series, index) => ({ x: 10 ** index, series }));
  const svg = draw({ kind: "curves", name: "n", title: "T", x: "VMs", lines: [{ label: "ours", points }] });
  expect(svg.match(/<circle /g)).toHaveLength(2);
  for (const words of ["VMs", "ours", "1", "100", "10", "30"]) expect(svg).toContain(`>${words}<`);
});

test("words cannot become markup", () => {
  const svg = draw({
    kind: "bars",
    name: "n",
    title: "a < b & c",
    bars: [{ label: '"', series: ["small"] }],
  });
  expect(svg).toContain("<title>a &lt; b &amp; c</title>");
});

test.each([
  [0, [0, 0.2, 0.4, 0.6, 0.8, 1]],
  [48, [0, 10, 20, 30, 40, 50]],
  [732, [0, 200, 400, 600, 800]],
])("an axis to %d has round steps", (value, steps) => {
  expect(stepsTo(value)).toEqual(steps);
});

test.each([
  [
    [2.65, 732],
    [2, 5, 10, 20, 50, 100, 200, 500, 1000],
  ],
  [[10, 10], [10]],
  [[0.3], [0.2, 0.5]],
])("the magnitudes around %j enclose them", (values, marks) => {
  expect(magnitudes(values)).toEqual(marks);
});
