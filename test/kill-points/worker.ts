/** Inflicts kill-points on a stack of its own. */
import { serve } from "../chaos/serve.js";
import { inflict, type Report } from "./inflict.js";
import type { Point } from "./points.js";
import { openStack, type Stack } from "./stack.js";

await serve<Point, Report, Stack>(openStack, inflict);
