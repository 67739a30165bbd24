/** One input of the fuzzer: a generated file or one or two of the corpus, then changed. */
import fc from "fast-check";
import { assemble, type Assembled } from "./assemble.js";
import { corpus } from "./corpus.js";
import { fileModel, type FileModel } from "./model.js";
import { mutate, mutation, repair, type Mutation } from "./mutate.js";

export interface Case {
  base: { model: FileModel } | { seed: number } | { seed: number; other: number; cut: number; from: number };
  mutations: Mutation[];
  repair: "none" | "unset" | "rehash";
}

const seed = fc.nat(1000);

export const anyCase: fc.Arbitrary<Case> = fc.record({
  base: fc.oneof<fc.WeightedArbitrary<Case["base"]>[]>(
    { weight: 6, arbitrary: fc.record({ model: fileModel }) },
    { weight: 3, arbitrary: fc.record({ seed }) },
    { weight: 1, arbitrary: fc.record({ seed, other: seed, cut: fc.nat(8192), from: fc.nat(8192) }) },
  ),
  mutations: fc.oneof(
    { weight: 1, arbitrary: fc.constant<Mutation[]>([]) },
    { weight: 3, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 5 }) },
  ),
  repair: fc.constantFrom<Case["repair"][]>("none", "rehash", "rehash", "unset"),
});

/** The input's bytes, and what may be expected of a reader after all the changes. */
export async function bytesOf({ base, mutations, repair: how }: Case): Promise<Assembled> {
  const start = await baseOf(base);
  let { bytes } = start;
  let { expectation } = start;
  for (const change of mutations) {
    const { newest, forbidden } = expectation;
    const { span, ...changed } = mutate(bytes, change);
    const contained = newest && span && span[0] >= newest.start && span[1] <= newest.end;
    const seen = contained && bytes.subarray(newest.start, newest.end).indexOf("SFVR", 4) < 0;
    bytes = changed.bytes;
    // What was changed within the newest kernel may come out or not, but nothing else may.
    if (seen) expectation = { newest, forbidden };
    else
      expectation = {
        forbidden: change.kind === "cut" && mutations.length === 1 && how === "none" ? forbidden : [],
      };
  }
  if (mutations.length > 0 && how !== "none") bytes = await repair(bytes, how);
  return { bytes, expectation };
}

async function baseOf(base: Case["base"]): Promise<Assembled> {
  if ("model" in base) return await assemble(base.model);
  const seeds = corpus();
  const pick = (which: number): Buffer => seeds[which % seeds.length]?.bytes ?? Buffer.alloc(0);
  const bytes = pick(base.seed);
  if (!("other" in base)) return { bytes, expectation: { forbidden: [] } };
  const spliced = Buffer.concat([bytes.subarray(0, base.cut), pick(base.other).subarray(base.from)]);
  return { bytes: spliced, expectation: { forbidden: [] } };
}
