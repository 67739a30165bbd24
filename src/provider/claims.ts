/**
 * Which ports and memory the MicroVms of a program want: a check sees its own resource only, and two that want one port would find it out
 * when both are launched. All checks of a phase run in this one process, so what was checked before is known here.
 */
import { memoryShortage, MicroVmError, overlap, type Owner, type VmSpec } from "../launcher/index.js";
import { nameOf } from "./inputs.js";

interface Claim {
  owner: Owner;
  bindAddress: string;
  ports: readonly number[];
  /** Undefined where it is not known yet. */
  memoryMb: number | undefined;
}

const claims = new Map<string, Claim>();

const keyOf = ({ project, stack, resource }: Owner): string => JSON.stringify([project, stack, resource]);

/** Notes down what is known of a resource's wish, in place of an earlier check's, and says where another wants the same. */
export function claim(
  owner: Owner,
  { bindAddress, apiPort, sshPort, memoryMb }: Partial<VmSpec>,
): MicroVmError[] {
  claims.delete(keyOf(owner));
  if (bindAddress === undefined) return [];
  const ports = { apiPort, sshPort };
  const errors: MicroVmError[] = [];
  for (const [property, port] of Object.entries(ports)) {
    const other = port ? [...claims.values()].find((one) => one.ports.includes(port)) : undefined;
    if (other === undefined || !overlap(other.bindAddress, bindAddress)) continue;
    const what = `port ${port} is wanted by two MicroVms of this program, ${nameOf(other)} and ${nameOf({ owner })}`;
    const hint = `Give one of them another ${property}, where 0 takes a free one.`;
    errors.push(new MicroVmError("PortInUse", what, { hint, property }));
  }
  const wanted = Object.values(ports).filter((port) => port !== undefined && port > 0) as number[];
  claims.set(keyOf(owner), { owner, bindAddress, ports: wanted, memoryMb });
  return errors;
}

let warned = false;

/**
 * Says once a phase where those that were checked so far have more memory together than is free. They may fit all the same, as a guest
 * takes its memory by and by, so it is no failure.
 */
export async function warnOfMemory(): Promise<void> {
  const wishes = [...claims.values()].flatMap(({ owner, memoryMb }) =>
    memoryMb ? [{ owner, memoryMb }] : [],
  );
  if (warned || wishes.length < 2) return;
  const shortage = await memoryShortage(wishes);
  // Several are checked at once.
  if (shortage === undefined || warned) return;
  warned = true;
  const names = wishes.map(nameOf);
  const all = `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  const { wantedMb, freeMb } = shortage;
  console.log(
    `warning: ${all} take up to ${wantedMb} MiB with their QEMUs, and ${freeMb} MiB are free: ` +
      "those for which there is no room wait for it, and fail where none comes. Lower memoryMb.",
  );
}

/** The resources that were checked before. What else they have than what they want, they are about to give up. */
export const claimants = (): Owner[] => [...claims.values()].map(({ owner }) => owner);
