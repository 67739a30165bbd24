/** The host ports of a running VM: which they came to be, and their change without a restart. */
import { GUEST_ADDRESS, SSH_PORT } from "../appliance/contract.js";
import { MicroVmError } from "../errors.js";
import {
  addHostForward,
  hostForwards,
  removeHostForward,
  type HostForward,
  type QmpConnection,
} from "../qmp/index.js";
import { NETDEV } from "./plan.js";
import { assertPortFree } from "./ports.js";
import type { VmSpec } from "./spec.js";

/** What the VM is to be reached by. A port of 0 is any free one, which is kept once it was chosen. */
export type Reach = Pick<VmSpec, "bindAddress" | "apiPort" | "sshPort"> & { guestApiPort: number };

export interface BoundPorts {
  boundApiPort: number;
  boundSshPort?: number | undefined;
}

/** What the ports came to be: QEMU lets the kernel choose for 0, so that nobody can take it in between. */
export async function boundPorts(
  monitor: QmpConnection,
  { guestApiPort, sshPort }: Pick<Reach, "guestApiPort" | "sshPort">,
): Promise<BoundPorts> {
  const forwards = await hostForwards(monitor);
  const hostPortOf = (guestPort: number) => {
    const found = forwards.find((forward) => forward.guestPort === guestPort)?.hostPort;
    if (found === undefined)
      throw new MicroVmError("Qmp", `QEMU does not forward a port to the guest's ${guestPort}`);
    return found;
  };
  return {
    boundApiPort: hostPortOf(guestApiPort),
    boundSshPort: sshPort === undefined ? undefined : hostPortOf(SSH_PORT),
  };
}

/**
 * Opens what is missing of the wanted ports, has them written down, and closes the others: whoever reads what is written finds ports
 * that are open. Connections through a port that is closed stay open. It goes by what QEMU forwards just now, so that a change which was cut short, or
 * a forward removed by hand, is mended by the next. Returns whether anything had to change. Throws PortInUse, or what
 * `writeDown` throws, as it was before.
 */
export async function changePorts(
  monitor: QmpConnection,
  reach: Reach,
  writeDown: (bound: BoundPorts) => Promise<void>,
): Promise<boolean> {
  const present = await hostForwards(monitor);
  const wanted = wantedForwards(reach, present);
  const served = wanted.map((want) => present.find((forward) => isSame(forward, want)));
  const missing = wanted.filter((_, index) => served[index] === undefined);
  const others = present.filter((forward) => !served.includes(forward));
  // Two addresses cannot have one port while 0.0.0.0 is among them, and two guest ports never.
  const isInTheWay = ({ hostPort }: HostForward) => missing.some((want) => want.hostPort === hostPort);
  const inTheWay = others.filter(isInTheWay);
  for (const { property, hostPort, hostAddress } of missing) {
    if (!inTheWay.some((forward) => forward.hostPort === hostPort))
      await assertPortFree(hostPort, property, hostAddress);
  }

  const add = async (forward: HostForward) => await addHostForward(monitor, { ...forward, netdev: NETDEV });
  const remove = async (forward: HostForward) =>
    await removeHostForward(monitor, { ...forward, netdev: NETDEV });
  const added: HostForward[] = [];
  for (const forward of inTheWay) await remove(forward);
  try {
    for (const want of missing) {
      await add(want);
      // Which port a rule for 0 came to have shows in the list alone.
      const now = await hostForwards(monitor);
      added.push(now.find((one) => ![...present, ...added].some((known) => isSame(one, known)))!);
    }
    const portOf = (guestPort: number) =>
      [...served, ...added].find((forward) => forward?.guestPort === guestPort)?.hostPort;
    await writeDown({
      boundApiPort: portOf(reach.guestApiPort)!,
      boundSshPort: reach.sshPort === undefined ? undefined : portOf(SSH_PORT),
    });
  } catch (error) {
    for (const forward of added) await remove(forward);
    for (const forward of inTheWay) await add(forward);
    throw error;
  }
  for (const forward of others) if (!isInTheWay(forward)) await remove(forward);
  return missing.length > 0 || others.length > 0;
}

type Wanted = HostForward & { property: "apiPort" | "sshPort" };

function wantedForwards(reach: Reach, present: HostForward[]): Wanted[] {
  const { bindAddress, apiPort, sshPort, guestApiPort } = reach;
  const want = (property: Wanted["property"], port: number, guestPort: number): Wanted => ({
    property,
    hostAddress: bindAddress,
    // A port that was chosen once is kept, on another address too.
    hostPort: port || (present.find((forward) => forward.guestPort === guestPort)?.hostPort ?? 0),
    guestAddress: GUEST_ADDRESS,
    guestPort,
  });
  return [
    want("apiPort", apiPort, guestApiPort),
    ...(sshPort === undefined ? [] : [want("sshPort", sshPort, SSH_PORT)]),
  ];
}

const isSame = (a: HostForward, b: HostForward): boolean =>
  a.hostPort === b.hostPort && a.hostAddress === b.hostAddress && a.guestPort === b.guestPort;
