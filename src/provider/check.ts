/** Finds before anything is started what can be found: wrong inputs, a bad RVF, a taken port, a missing QEMU. */
import {
  checkInput,
  conflictsIn,
  contentFingerprint,
  describeError,
  previewVm,
  specKeys,
  type MicroVmError,
} from "../launcher/index.js";
import { specOf, type Inputs } from "./inputs.js";
import { isUnknown } from "./unknown.js";

interface CheckFailure {
  property: string;
  reason: string;
}

export interface CheckResult {
  inputs: Record<string, unknown>;
  failures: CheckFailure[];
}

/** What the constructor sends beside the user's inputs. */
const hiddenKeys = ["owner", "__provider"];
const allowedKeys: readonly string[] = [...specKeys, ...hiddenKeys, "contentFingerprint"];

const fileKeys = ["rvfPath", "kernelPath", "initramfsPath"] as const;

/** `olds` are the inputs of the last `up`; empty for a new resource. */
export async function check(olds: Partial<Inputs>, news: Record<string, unknown>): Promise<CheckResult> {
  const { inputs, failures } = checkShape(news);
  if (failures.length > 0) return { inputs, failures };
  const checked = inputs as unknown as Inputs;
  const unknown = new Set(specKeys.filter((key) => isUnknown(checked[key])));
  const spec = specOf(checked);
  const known = Object.fromEntries(Object.entries(spec).filter(([, value]) => !isUnknown(value)));
  const conflicts = conflictsIn(known);
  if (conflicts.length > 0) return { inputs, failures: conflicts.map(failureOf) };
  // A resource that is renamed (aliases) still holds its ports under its old name.
  const owners = [checked.owner, ...(olds.owner ? [olds.owner] : [])];
  const errors = await previewVm(spec, { unknown, owners });
  if (errors.length > 0) return { inputs, failures: errors.map(failureOf) };
  return { inputs: { ...inputs, ...(await fingerprint(checked)) }, failures };
}

/** Types, ranges and defaults, each input by itself, so that all failures show at once. Unknown values pass. */
function checkShape(news: Record<string, unknown>): CheckResult {
  const inputs = Object.fromEntries(Object.entries(news).filter(([key]) => hiddenKeys.includes(key)));
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
    if ("problem" in checked) failures.push(shapeFailure(key, checked.problem));
    else if (checked.value !== undefined) inputs[key] = checked.value;
  }
  return { inputs, failures };
}

/** The engine prints the value of the property that a failure names, and a private key may stand there by mistake. */
const shapeFailure = (key: string, problem: string): CheckFailure =>
  key === "trustedKeys" ? { property: "", reason: `${key}: ${problem}` } : { property: key, reason: problem };

/** Without it a file that changed behind its path would not be seen; one that cannot be read is told by the checks. */
async function fingerprint(inputs: Inputs): Promise<{ contentFingerprint?: string }> {
  if (fileKeys.some((key) => isUnknown(inputs[key]))) return {};
  return { contentFingerprint: await contentFingerprint(inputs) };
}

function failureOf(error: MicroVmError): CheckFailure {
  return { property: error.property ?? "", reason: describeError(error) };
}
