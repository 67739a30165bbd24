import { digits } from "../statistics.js";
import type { Bars, Lookup } from "./chart.js";
import { stepsTo } from "./scale.js";
import { colour, element, grey, label, legend, line, picture, widthOf } from "./svg.js";

const WIDTH = 860;
const ROW = 30;
/** Room for the largest bar's number. */
const NUMBER = 80;

export function drawBars({ title, bars, pieces = [] }: Bars, lookup: Lookup): string {
  const rows = bars.map(({ label: name, series }) => ({ name, parts: series.map(lookup) }));
  const left = 32 + Math.max(...bars.map((bar) => widthOf(bar.label)));
  const top = pieces.length > 0 ? 72 : 46;
  const bottom = top + rows.length * ROW;
  const steps = stepsTo(Math.max(...rows.map(({ parts }) => endOf(parts))));
  const at = (value: number): number => left + (value / steps.at(-1)!) * (WIDTH - left - NUMBER);
  const grid = steps.flatMap((step) => [
    line(at(step), top, at(step), bottom, grey),
    label(at(step), bottom + 14, String(step), { "text-anchor": "middle" }),
  ]);
  const drawn = rows.flatMap(({ name, parts }, index) => {
    const y = top + (index + 0.5) * ROW;
    return [label(left - 10, y, name, { "text-anchor": "end" }), ...drawBar(parts, y, at)];
  });
  return picture(WIDTH, bottom + 34, title, [...legend(16, 50, pieces), ...grid, ...drawn]);
}

type Part = ReturnType<Lookup>;

function drawBar(parts: Part[], y: number, at: (value: number) => number): string[] {
  if (!parts.every((part) => part !== undefined)) return [label(at(0) + 6, y, "failed")];
  let end = 0;
  const pieces = parts.map(({ median }, index) => {
    const start = end;
    end += median;
    const box = { x: at(start), y: y - 9, width: at(end) - at(start), height: 18 };
    return element("rect", { ...box, fill: colour(index) });
  });
  const [only] = parts;
  const spread = parts.length === 1 ? [line(at(only!.min), y, at(only!.max), y, "#222")] : [];
  return [...pieces, ...spread, label(at(endOf(parts)) + 6, y, digits(end))];
}

/** Where a bar ends, its spread included. */
function endOf(parts: Part[]): number {
  if (parts.length === 1) return parts[0]?.max ?? 0;
  return parts.reduce((sum, part) => sum + (part?.median ?? 0), 0);
}
