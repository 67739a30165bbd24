/** What changed, and whether the VM still is what the state says. Nothing but the program's wish replaces a MicroVm. */
import { isDeepStrictEqual } from "node:util";
import { MicroVmError } from "../errors.js";
import { claimVm, specKeys, withDefaults } from "../launcher/index.js";
import { observed } from "./drift.js";
import { fingerprintKeys, type Inputs, type State } from "./inputs.js";

export interface DiffResult {
  changes: boolean;
  /** The inputs by whose change it is replaced. */
  replaces?: string[];
}

/** Inputs whose change is an update. `__provider` is none: the code installed now serves every state. */
const compared = [...specKeys, "owner", ...fingerprintKeys] as const;

/** `olds` are the stored outputs, `news` the checked inputs, with unknown values at preview, which count as changes. */
export async function diff(id: string, olds: State, news: Inputs): Promise<DiffResult> {
  await claimVm(id);
  const changed = changedInputs(olds, news);
  // A delete is told of the outputs alone, and only an update changes them.
  if (changed.length > 0 || olds.customTimeouts?.delete !== news.customTimeouts?.delete) {
    // For its words alone: what cannot be told of the VM is the update's to meet.
    await observed(id, news).catch((error: unknown) => {
      if (!(error instanceof MicroVmError)) throw error;
    });
    return { changes: true, replaces: changed.filter((key) => replacing(news, key)) };
  }
  // `up` never calls `read`, so what became of the VM in the meantime is found here and mended by `update`.
  const found = await observed(id, news);
  return { changes: found === undefined || found.drift !== undefined };
}

/** The engine leaves it to a provider that tells of changes without naming them, as a dynamic one has to. */
const replacing = ({ replaceOnChanges = [] }: Inputs, input: string): boolean =>
  // Of a path within an input its name counts.
  replaceOnChanges.some((path) => path === "*" || path.split(/[.[]/)[0] === input);

/** Missing and null are the same. An input that the state is too old to know had its default. */
export function changedInputs(olds: State, news: Inputs): (keyof Inputs)[] {
  const before = { ...olds, ...withDefaults(olds) };
  return compared.filter((key) => !isDeepStrictEqual(before[key] ?? undefined, news[key] ?? undefined));
}
