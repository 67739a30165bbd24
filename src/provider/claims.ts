/**
 * Which ports the MicroVms of a program want: a check sees its own resource only, and two that want one port would find it out when both
 * are launched. All checks of a phase run in this one process, so what was checked before is known here.
 */
import { MicroVmError, overlap, type Owner, type VmSpec } from "../launcher/index.js";
import { nameOf } from "./inputs.js";

interface Claim {
  owner: Owner;
  bindAddress: string;
  ports: readonly number[];
}

const claims = new Map<string, Claim>();

const keyOf = ({ project, stack, resource }: Owner): string => JSON.stringify([project, stack, resource]);

/** Notes down what is known of a resource's wish, in place of an earlier check's, and says where another wants the same. */
export function claimPorts(owner: Owner, { bindAddress, apiPort, sshPort }: Partial<VmSpec>): MicroVmError[] {
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
  claims.set(keyOf(owner), { owner, bindAddress, ports: wanted });
  return errors;
}

/** The resources that were checked before. What else they have than what they want, they are about to give up. */
export const claimants = (): Owner[] => [...claims.values()].map(({ owner }) => owner);
