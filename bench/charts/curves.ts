import { digits } from "../statistics.js";
import type { Curves, Lookup } from "./chart.js";
import { magnitudes } from "./scale.js";
import { colour, element, grey, label, legend, line, picture } from "./svg.js";

const WIDTH = 860;
const HEIGHT = 400;
const plot = { left: 70, right: WIDTH - 70, top: 76, bottom: HEIGHT - 56 };

export function drawCurves({ title, x: unit, lines }: Curves, lookup: Lookup): string {
  const measured = lines.map(({ points }) =>
    points.flatMap(({ x, series }) => {
      const y = lookup(series)?.median;
      return y === undefined ? [] : [{ x, y }];
    }),
  );
  const all = measured.flat();
  const xs = [...new Set(all.map(({ x }) => x))].sort((a, b) => a - b);
  const ys = magnitudes(all.map(({ y }) => y));
  const atX = logarithmic(xs, plot.left, plot.right);
  const atY = logarithmic(ys, plot.bottom, plot.top);
  return picture(WIDTH, HEIGHT, title, [
    ...legend(
      16,
      50,
      lines.map((each) => each.label),
    ),
    ...xs.flatMap((x) => [
      line(atX(x), plot.top, atX(x), plot.bottom, grey),
      label(atX(x), plot.bottom + 16, x.toLocaleString("en"), { "text-anchor": "middle" }),
    ]),
    ...ys.flatMap((y) => [
      line(plot.left, atY(y), plot.right, atY(y), grey),
      label(plot.left - 8, atY(y), y.toLocaleString("en"), { "text-anchor": "end" }),
    ]),
    label((plot.left + plot.right) / 2, HEIGHT - 16, unit, { "text-anchor": "middle" }),
    ...measured.flatMap((points, index) => {
      const path = points.map(({ x, y }) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`).join(" ");
      return [
        element("polyline", { points: path, fill: "none", stroke: colour(index), "stroke-width": 2 }),
        ...points.flatMap(({ x, y }) => [
          element("circle", { cx: atX(x), cy: atY(y), r: 3.5, fill: colour(index) }),
          label(atX(x), atY(y) - 12, digits(y), { "text-anchor": "middle", fill: colour(index) }),
        ]),
      ];
    }),
  ]);
}

/** Maps the values, in order, from the one end to the other; a single one lies in the middle. */
function logarithmic(values: number[], start: number, end: number): (value: number) => number {
  const [first, last] = [Math.log(values[0]!), Math.log(values.at(-1)!)];
  if (first === last) return () => (start + end) / 2;
  return (value) => start + ((Math.log(value) - first) / (last - first)) * (end - start);
}
