/** The host ports of a running VM: which they came to be, and their change without a restart. */
import { GUEST_ADDRESS, SSH_PORT } from "../../appliance/contract.js";
import { MicroVmError } from "../../errors.js";
import {
  addHostForward,
  hostForwards,
  removeHostForward,
  type HostForward,
  type QmpConnection,
} from "../../qmp/index.js";
import { NETDEV } from "../plan/plan.js";
import { assertPortFree, overlap } from "./ports.js";
import type { VmSpec } from "../spec.js";

/** What the VM is to be reached by. A port of 0 is any free one. */
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

/** A forward and the monitor of the QEMU that has it. */
type Rule = HostForward & { at: QmpConnection };

const rulesOf = async (at: QmpConnection): Promise<Rule[]> =>
  (await hostForwards(at)).map((forward) => ({ ...forward, at }));
const open = async ({ at, ...forward }: Rule) => await addHostForward(at, { ...forward, netdev: NETDEV });
const close = async ({ at, ...forward }: Rule) => await removeHostForward(at, { ...forward, netdev: NETDEV });

export interface PortChange {
  /** From when it was known what has to change until the last port was touched, in milliseconds. */
  millis: number;
  /** For how long a port that goes from the one to the other was open nowhere, in milliseconds; 0 where none did. */
  closedMs: number;
}

/**
 * Opens what is missing of the wanted ports, has them written down, and closes the others, also those of a `former` VM whose place
 * this one takes: whoever reads what is written finds ports that are open. Connections through a port that is closed stay open. It goes by what
 * QEMU forwards just now, so that a change which was cut short, or a forward removed by hand, is mended by the next. Returns undefined
 * where nothing had to change. Throws PortInUse, or what `writeDown` throws, as it was before.
 */
export async function changePorts(
  monitor: QmpConnection,
  reach: Reach,
  writeDown: (bound: BoundPorts) => Promise<void>,
  former?: QmpConnection,
): Promise<PortChange | undefined> {
  const own = await rulesOf(monitor);
  const present = [...own, ...(former ? await rulesOf(former) : [])];
  const wanted = wantedForwards(reach).map((want) => ({ ...want, at: monitor }));
  const served = wanted.map((want) => own.find((rule) => isSame(rule, want)));
  const missing = wanted.filter((_, index) => served[index] === undefined);
  const others = present.filter((rule) => !served.includes(rule));
  const inTheWayOf = (want: HostForward): Rule[] =>
    others.filter((rule) => rule.hostPort === want.hostPort && overlap(want.hostAddress, rule.hostAddress));
  for (const want of missing) {
    if (inTheWayOf(want).length === 0) await assertPortFree(want.hostPort, want.property, want.hostAddress);
  }

  const closed: Rule[] = [];
  const added = async () => (await rulesOf(monitor)).filter((rule) => !own.some((one) => isSame(one, rule)));
  const start = performance.now();
  let closedMs = 0;
  try {
    for (const want of missing) {
      const closingAt = performance.now();
      const closing = inTheWayOf(want)
        .filter((rule) => !closed.includes(rule))
        .map((rule) => close(rule).then(() => closed.push(rule)));
      // QEMU does what it is told in order, so one that has both ports need not be waited for in between.
      const isAway = inTheWayOf(want).some(({ at }) => at !== monitor);
      if (isAway) await allOver(closing);
      await allOver([...closing, open(want)]);
      if (inTheWayOf(want).length > 0) closedMs = Math.max(closedMs, performance.now() - closingAt);
    }
    // Which port a rule for 0 came to have shows in the list alone.
    const now = missing.some(({ hostPort }) => hostPort === 0) ? await added() : missing;
    const portOf = (guestPort: number) =>
      [...served, ...now].find((rule) => rule?.guestPort === guestPort)?.hostPort;
    await writeDown({
      boundApiPort: portOf(reach.guestApiPort)!,
      boundSshPort: reach.sshPort === undefined ? undefined : portOf(SSH_PORT),
    });
  } catch (error) {
    // As far as each QEMU still hears: the one that was to have the ports may be what broke.
    for (const rule of await added().catch(() => [])) await close(rule).catch(() => {});
    for (const rule of closed) await open(rule).catch(() => {});
    throw error;
  }
  await allOver(others.filter((rule) => !closed.includes(rule)).map(close));
  if (missing.length === 0 && others.length === 0) return undefined;
  return { millis: performance.now() - start, closedMs };
}

/** Throws the first failure when each has come to its end: until then nobody knows what there is to undo. */
async function allOver(steps: readonly Promise<unknown>[]): Promise<void> {
  for (const step of await Promise.allSettled(steps))
    if (step.status === "rejected") throw step.reason as Error;
}

type Wanted = HostForward & { property: "apiPort" | "sshPort" };

function wantedForwards({ bindAddress, apiPort, sshPort, guestApiPort }: Reach): Wanted[] {
  const want = (property: Wanted["property"], hostPort: number, guestPort: number): Wanted => ({
    property,
    hostAddress: bindAddress,
    hostPort,
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
