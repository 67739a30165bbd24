/** Samples of several sides, taken in rounds: what the machine does meanwhile meets all of them. */
import type { Series, Target } from "./benchmark.js";

export interface Outcome<S> {
  samples: S[];
  /** Why the side has no more samples. */
  failure?: string;
}

/**
 * One sample of every side in each round, by turns in front. The first round fills the caches and is not kept. A side that fails is left out from
 * then on, and the others go on.
 */
export async function inRounds<S, Name extends string>(
  rounds: number,
  sides: Record<Name, () => Promise<S>>,
  say: (line: string) => void,
): Promise<Record<Name, Outcome<S>>> {
  const names = Object.keys(sides) as Name[];
  const outcomes = Object.fromEntries(names.map((name) => [name, { samples: [] }])) as unknown as Record<
    Name,
    Outcome<S>
  >;
  for (let round = 0; round <= rounds; round++) {
    const first = round % names.length;
    for (const name of [...names.slice(first), ...names.slice(0, first)]) {
      const outcome = outcomes[name];
      if (outcome.failure !== undefined) continue;
      try {
        const sample = await sides[name]();
        if (round > 0) outcome.samples.push(sample);
      } catch (error) {
        outcome.failure = (error as Error).message;
        say(`${name} failed: ${outcome.failure}`);
      }
    }
    say(`round ${round} of ${rounds}${round === 0 ? " (discarded)" : ""}`);
  }
  return outcomes;
}

/** Of what is measured once. */
export const outcomeOf = <S>(take: () => Promise<S>): Promise<Outcome<S>> =>
  take().then(
    (sample) => ({ samples: [sample] }),
    (error: unknown) => ({ samples: [], failure: (error as Error).message }),
  );

/** One quantity of the samples. */
export const seriesOf = <S>(
  { samples, failure }: Outcome<S>,
  series: { name: string; unit: Series["unit"]; target?: Target },
  pick: (sample: S) => number,
): Series => ({ ...series, samples: samples.map(pick), ...(failure !== undefined && { failure }) });
