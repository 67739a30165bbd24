/** Where an axis has its lines. */

/** Round numbers, evenly apart, from zero to the first one that is no less than the value. */
export function stepsTo(value: number): number[] {
  const rough = (value || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough)!;
  const count = Math.ceil((value || 1) / step);
  return Array.from({ length: count + 1 }, (_, index) => exact(index * step));
}

/** Powers of ten, and twice and five times each, as far as they are needed to enclose the values, which are above zero. */
export function magnitudes(values: number[]): number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const powers = Math.floor(Math.log10(high)) - Math.floor(Math.log10(low)) + 2;
  const all = Array.from({ length: powers }, (_, index) => Math.floor(Math.log10(low)) + index).flatMap(
    (power) => [1, 2, 5].map((factor) => exact(factor * 10 ** power)),
  );
  const from = all.findLastIndex((mark) => mark <= low);
  const to = all.findIndex((mark) => mark >= high);
  return all.slice(from, to + 1);
}

/** Without what binary fractions add. */
const exact = (value: number): number => Number(value.toPrecision(6));
