/** Which commands are interrupted, where, and how a user goes on: the kill-points. */
import { randomFrom, type Random } from "../chaos/random.js";
import { momentsOf, type Operation } from "./moments.js";
import { victims, type Victim } from "./victims.js";

/** What the user runs first afterwards. */
export type Way = "up" | "destroy";

export interface Point {
  operation: Operation;
  victim: Victim;
  /** One of the operation's, or any, after a part of the time that the last such command took. */
  moment: string | { part: number };
  way: Way;
}

/** `update: plugin killed when its guest speaks, then up` */
export const nameOf = ({ operation, victim, moment, way }: Point): string =>
  `${operation}: ${victim} ${typeof moment === "string" ? `when ${moment}` : "at some moment"}, then ${way}`;

/** A VM's life: the command of each point finds what the one before left. */
export type Life = Point[];

/** Nobody runs a program at a destroy. */
const ofPrograms: Victim[] = ["language host killed", "program killed"];

/** In the order of a life. */
const operations: Operation[] = [
  "create",
  "update",
  "ports",
  "stopFirst",
  "replace",
  "replaceBeside",
  "delete",
];

const ways: Way[] = ["up", "destroy"];

const pointsOf = (operation: Operation, random: Random): Point[] =>
  (Object.keys(victims) as Victim[])
    .filter((victim) => operation !== "delete" || !ofPrograms.includes(victim))
    .flatMap((victim) =>
      [...Object.keys(momentsOf[operation]), { part: random.below(1000) / 1000 }].flatMap((moment) =>
        ways.map((way) => ({ operation, victim, moment, way })),
      ),
    );

/** So many points, in lives, each point before any of them comes again. The same seed gives the same ones. */
export function livesOf(count: number, seed: number, only = ""): Life[] {
  const random = randomFrom(seed);
  const queues = new Map<Operation, Point[]>();
  const next = (operation: Operation): Point[] => {
    let queue = queues.get(operation) ?? [];
    if (queue.length === 0)
      queue = pointsOf(operation, random).filter((point) => nameOf(point).includes(only));
    const chosen = queue.splice(random.below(queue.length), 1);
    queues.set(operation, queue);
    return chosen;
  };
  const lives: Life[] = [];
  for (let left = count; left > 0;) {
    const life = operations.flatMap(next).slice(0, left);
    if (life.length === 0) break;
    lives.push(life);
    left -= life.length;
  }
  return lives;
}
