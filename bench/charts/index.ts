/** Draws a run's charts as SVG. */
import { drawBars } from "./bars.js";
import type { Chart, Lookup } from "./chart.js";
import { drawCurves } from "./curves.js";

export const drawChart = (chart: Chart, lookup: Lookup): string =>
  chart.kind === "bars" ? drawBars(chart, lookup) : drawCurves(chart, lookup);
