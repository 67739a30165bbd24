/** Finds before anything is started what can be found: wrong inputs, a bad RVF, a taken port, a missing QEMU. */
import {
  checkInput,
  conflictsIn,
  describeError,
  fingerprintNames,
  fingerprintsOf,
  hasContent,
  MicroVmError,
  previewVm,
  specKeys,
} from "../launcher/index.js";
import { claim, claimants, warnOfMemory } from "./claims.js";
import {
  fingerprintKeys,
  hiddenKeys,
  RUNNING,
  specOf,
  type FingerprintInputs,
  type Inputs,
} from "./inputs.js";
import { withoutSecrets } from "./secret.js";
import { isUnknown } from "./unknown.js";

interface CheckFailure {
  property: string;
  reason: string;
}

export interface CheckResult {
  inputs: Record<string, unknown>;
  failures: CheckFailure[];
}

const allowedKeys: readonly string[] = [...specKeys, ...hiddenKeys, ...fingerprintKeys, "condition"];

const fileKeys = Object.keys(fingerprintNames) as (keyof typeof fingerprintNames)[];

const isHidden = (key: string): boolean => (hiddenKeys as readonly string[]).includes(key);

/** `olds` are the inputs of the last `up`; empty for a new resource. */
export async function check(olds: Partial<Inputs>, news: Record<string, unknown>): Promise<CheckResult> {
  const { inputs, failures } = await checkAll(olds, news);
  return { inputs, failures: failures.map((failure) => discreet(failure, news)) };
}

async function checkAll(olds: Partial<Inputs>, news: Record<string, unknown>): Promise<CheckResult> {
  const { inputs, failures } = checkShape(news);
  if (failures.length > 0) return { inputs, failures };
  const checked = inputs as unknown as Inputs;
  const unknown = new Set(specKeys.filter((key) => isUnknown(checked[key])));
  const spec = specOf(checked);
  const known = Object.fromEntries(Object.entries(spec).filter(([, value]) => !isUnknown(value)));
  const conflicts = [...conflictsIn(known), ...(checked.owner ? claim(checked.owner, known) : [])];
  if (conflicts.length > 0) return { inputs, failures: conflicts.map(failureOf) };
  // A resource that is renamed (aliases) still holds its ports under its old name.
  const owners = [checked.owner, ...(olds.owner ? [olds.owner] : [])];
  const errors = await previewVm(spec, { unknown, owners, yielding: claimants() });
  if (errors.length > 0) return { inputs, failures: errors.map(failureOf) };
  await warnOfMemory();
  try {
    return { inputs: { ...inputs, ...wish(olds), ...(await fingerprints(checked, olds)) }, failures };
  } catch (error) {
    if (!(error instanceof MicroVmError)) throw error;
    return { inputs, failures: [failureOf(error)] };
  }
}

/** Types, ranges and defaults, each input by itself, so that all failures show at once. Unknown values pass. */
function checkShape(news: Record<string, unknown>): CheckResult {
  const inputs = Object.fromEntries(Object.entries(news).filter(([key]) => isHidden(key)));
  const failures: CheckFailure[] = [];
  for (const [key, value] of Object.entries(news)) {
    if (!allowedKeys.includes(key) && value != null) {
      failures.push({
        property: key,
        reason: `there is no input ${key}; the inputs are ${specKeys.join(", ")}`,
      });
    }
  }
  for (const key of specKeys) {
    if (isUnknown(news[key])) {
      inputs[key] = news[key];
      continue;
    }
    const checked = checkInput(key, news[key]);
    if ("problem" in checked) failures.push({ property: key, reason: checked.problem });
    else if (checked.value !== undefined) inputs[key] = checked.value;
  }
  return { inputs, failures };
}

/**
 * The engine prints the value of the property that a failure names, be it a secret, and a private key may stand in `trustedKeys` by
 * mistake.
 */
function discreet({ property, reason }: CheckFailure, news: Partial<Inputs>): CheckFailure {
  const isSecret = ["trustedKeys", ...(news.secretInputs ?? [])].includes(property);
  return {
    property: isSecret ? "" : property,
    reason: withoutSecrets(isSecret ? `${property}: ${reason}` : reason, news),
  };
}

/** A state that is too old to know it gets it with the first refresh that finds something else: until then nothing has changed. */
const wish = (olds: Partial<Inputs>): Pick<Inputs, "condition"> =>
  olds.owner === undefined || olds.condition !== undefined ? { condition: RUNNING } : {};

/**
 * Without them a file that changed behind its path would not be seen. As long as none did, they are as the last `up` left them,
 * whichever version of this package took them: another way to take them is no change.
 */
async function fingerprints(inputs: Inputs, olds: Partial<Inputs>): Promise<FingerprintInputs> {
  const unknown = fileKeys.filter((key) => isUnknown(inputs[key]));
  if (unknown.length > 0) {
    const known = Object.fromEntries(
      fileKeys.map((key) => [key, unknown.includes(key) ? undefined : inputs[key]]),
    );
    const unknowns = Object.fromEntries(unknown.map((key) => [fingerprintNames[key], inputs[key]]));
    return { ...(await fingerprintsOf(known)), ...unknowns };
  }
  const { contentFingerprint } = olds;
  if (contentFingerprint && (await hasContent(inputs, contentFingerprint))) return { contentFingerprint };
  return await fingerprintsOf(inputs);
}

function failureOf(error: MicroVmError): CheckFailure {
  return { property: error.property ?? "", reason: describeError(error) };
}
