/** Has lives lived through, in several places at once. */
import { handOut, type WorkersOptions } from "../chaos/workers.js";
import type { Report } from "./inflict.js";
import type { Life, Point } from "./points.js";

export const runLives = (lives: readonly Life[], options: WorkersOptions<Report>): Promise<Report[]> =>
  handOut<Point, Report>(new URL("worker.ts", import.meta.url), lives, options);
