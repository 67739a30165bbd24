/** Finds before anything is started what can be found: wrong inputs, a bad RVF, a taken port, a missing QEMU. */
import { isDeepStrictEqual } from "node:util";
import {
  assertPortFree,
  contentFingerprint,
  describeError,
  examine,
  listRecords,
  MicroVmError,
  parseSpec,
  statusOfRecord,
  specKeys,
  vmSpecSchema,
  type Owner,
  type VmSpec,
} from "../launcher/index.js";
import type { Inputs } from "./inputs.js";
import { hasUnknown, isUnknown } from "./unknown.js";

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

export async function check(_olds: unknown, news: Record<string, unknown>): Promise<CheckResult> {
  const { inputs, failures } = checkShape(news);
  if (failures.length > 0) return { inputs, failures };
  const checked = inputs as unknown as Inputs;
  return { inputs: { ...inputs, ...(await fingerprint(checked)) }, failures: await checkHost(checked) };
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
    const parsed = vmSpecSchema.shape[key].safeParse(news[key] ?? undefined);
    if (parsed.success) {
      if (parsed.data !== undefined) inputs[key] = parsed.data;
    } else {
      failures.push({ property: key, reason: parsed.error.issues.map((issue) => issue.message).join("; ") });
    }
  }
  return { inputs, failures };
}

/** What the files and this host say. Each check waits for none of the others, and needs only its own inputs known. */
async function checkHost(inputs: Inputs): Promise<CheckFailure[]> {
  const checks: Promise<void>[] = [];
  if (!hasUnknown({ ...inputs }, [...fileKeys, "memoryMb", "qemuBinary"]))
    checks.push(examine(parsePaths(inputs)));
  for (const key of ["apiPort", "sshPort"] as const) {
    const port = inputs[key];
    if (port !== undefined && !isUnknown(port)) checks.push(assertFreeOrOurs(port, key, inputs.owner));
  }
  const results = await Promise.allSettled(checks);
  return results.flatMap((result) => (result.status === "rejected" ? [failureOf(result.reason)] : []));
}

/** A port that this resource's own running VM has is free for it. */
async function assertFreeOrOurs(port: number, key: "apiPort" | "sshPort", owner: Owner): Promise<void> {
  const own = (await listRecords()).filter((record) => isDeepStrictEqual(record.owner, owner));
  const running = (await Promise.all(own.map(statusOfRecord))).filter(({ pid }) => pid !== 0);
  const bound = key === "apiPort" ? "boundApiPort" : "boundSshPort";
  if (!running.some((status) => status[bound] === port)) await assertPortFree(port, key);
}

/** The spec with every path absolute; the inputs themselves keep the words of the program. */
function parsePaths(inputs: Inputs): VmSpec {
  const { rvfPath, memoryMb, kernelPath, initramfsPath, qemuBinary } = inputs;
  return parseSpec({ rvfPath, memoryMb, kernelPath, initramfsPath, qemuBinary });
}

async function fingerprint(inputs: Inputs): Promise<{ contentFingerprint?: string }> {
  if (hasUnknown({ ...inputs }, fileKeys)) return {};
  // A file that cannot be read is told by the checks.
  return await contentFingerprint(inputs).then(
    (value) => ({ contentFingerprint: value }),
    () => ({}),
  );
}

function failureOf(error: unknown): CheckFailure {
  if (!(error instanceof MicroVmError)) throw error;
  return { property: error.property ?? "", reason: describeError(error) };
}
