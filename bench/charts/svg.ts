/** The little of SVG that the charts are made of. */

type Attributes = Record<string, string | number>;

/** An element with text or other elements in it. Coordinates are rounded to tenths. */
export function element(name: string, attributes: Attributes, ...content: string[]): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(short(value))}"`);
  return `<${name}${written.join("")}>${content.join("")}</${name}>`;
}

/** Text whose anchor lies at the point, in the middle of its height. */
export const label = (x: number, y: number, words: string, more: Attributes = {}): string =>
  element("text", { x, y, "dominant-baseline": "central", ...more }, escape(words));

export const line = (x1: number, y1: number, x2: number, y2: number, stroke: string): string =>
  element("line", { x1, y1, x2, y2, stroke });

/** A whole picture on white, which is readable on a dark page too. */
export function picture(width: number, height: number, title: string, content: string[]): string {
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  const font = { "font-family": "sans-serif", "font-size": 13, fill: "#222" };
  return `${element(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", role: "img", ...size, ...font },
    element("title", {}, escape(title)),
    element("rect", { ...size, viewBox: "", fill: "#fff" }),
    label(16, 22, title, { "font-weight": "bold" }),
    ...content.map((each) => `\n${each}`),
    "\n",
  )}\n`;
}

/** Okabe and Ito's colours, which the colour-blind can tell apart. */
export const colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"] as const;
export const colour = (index: number): string => colours[index % colours.length]!;
export const grey = "#ddd";

/** Names what the colours stand for, from the point on to the right. */
export function legend(x: number, y: number, names: readonly string[]): string[] {
  let at = x;
  return names.flatMap((name, index) => {
    const left = at;
    at += 34 + widthOf(name);
    return [
      element("rect", { x: left, y: y - 6, width: 12, height: 12, fill: colour(index) }),
      label(left + 18, y, name),
    ];
  });
}

/** About as wide as a text is: nothing here can measure it. */
export const widthOf = (words: string): number => words.length * 7.4;

const short = (value: string | number): string =>
  typeof value === "number" ? String(Math.round(value * 10) / 10) : value;

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
