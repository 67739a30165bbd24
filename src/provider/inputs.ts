/** The resource's inputs and outputs as they cross the wire: plain JSON, nothing undefined. */
import {
  fingerprintNames,
  specKeys,
  type Fingerprints,
  type Owner,
  type VmSpec,
  type VmStatus,
} from "../launcher/index.js";

/** What `check` stores: the spec with its defaults, and what the constructor and `check` add to it. */
export interface Inputs extends VmSpec, Fingerprints {
  owner: Owner;
  /** Those of states that are older than fingerprints of each file; it stays as long as none of the files changes. */
  contentFingerprint?: string;
  /** What the VM is to be, which is always `running`; a refresh puts in its place what it is instead. */
  condition?: string;
  /** Of the option `customTimeouts`, as Go writes durations; absent where the program gives none. */
  customTimeouts?: { create?: string; update?: string; delete?: string };
  /** The option of that name; absent where the program gives none. */
  replaceOnChanges?: string[];
  /** Which inputs the program keeps secret; absent where it keeps none. */
  secretInputs?: (keyof VmSpec)[];
  /** The provider's code, which the engine keeps beside the inputs. */
  __provider?: string;
}

/** Each changes when the file does that it names. */
export const fingerprintKeys = [...new Set(Object.values(fingerprintNames)), "contentFingerprint"] as const;

export type FingerprintInputs = Pick<Inputs, (typeof fingerprintKeys)[number]>;

/** What is stored as the resource's outputs: the inputs that diff and update need, and the VM's own values. */
export type State = Inputs & Outputs;

/** What the constructor sends beside the user's inputs. */
export const hiddenKeys = [
  "owner",
  "customTimeouts",
  "replaceOnChanges",
  "secretInputs",
  "__provider",
] as const;

export const RUNNING = "running";

/** Every input that is stored. */
const inputKeys = [...specKeys, ...fingerprintKeys, ...hiddenKeys, "condition"] as const;

/** The inputs among the outputs, which hold them all. */
export const inputsOf = (state: State): Inputs =>
  Object.fromEntries(
    inputKeys.filter((key) => state[key] != null).map((key) => [key, state[key]]),
  ) as unknown as Inputs;

/** The spec among the inputs; keys that were not given stay away. */
export function specOf(inputs: Inputs): VmSpec {
  return Object.fromEntries(
    specKeys.filter((key) => inputs[key] != null).map((key) => [key, inputs[key]]),
  ) as VmSpec;
}

/** The resource's own name, behind its parent's URN where it has one. */
export const nameOf = ({ owner }: Pick<Inputs, "owner">): string => owner.resource.split("::").at(-1)!;

/** The VM's own values. Every key is always there: one that is declared but missing shows as unknown for ever. */
export function outputsOf(status: VmStatus) {
  return {
    vmId: status.vmId,
    url: status.url,
    boundApiPort: status.boundApiPort,
    boundSshPort: status.boundSshPort ?? null,
    pid: status.pid,
    status: status.status,
    accelerator: status.accelerator,
    acceleratorReason: status.acceleratorReason,
    qmpSocket: status.qmpSocket,
    consoleLog: status.consoleLog,
    kernelSha256: status.kernelSha256,
    kernelIntegrity: status.kernelIntegrity,
    bootMillis: status.bootMillis,
    startedAt: status.startedAt,
    qemuVersion: status.qemuVersion,
  };
}

export type Outputs = ReturnType<typeof outputsOf>;
