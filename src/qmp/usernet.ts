/**
 * The TCP ports that QEMU's user network forwards into the guest. QMP has no commands for them: they go through
 * the human monitor, whose errors are texts.
 */
import { isIPv4 } from "node:net";
import { MicroVmError } from "../errors.js";
import { humanMonitorCommand } from "./commands.js";
import type { QmpConnection, WaitOptions } from "./connection.js";

/** A forwarded TCP port of QEMU's user network. */
export interface HostForward {
  /** Where QEMU listens, a dotted IPv4 address; `0.0.0.0` stands for every address. */
  hostAddress: string;
  /** The real port, also when the rule said 0 (any free one). */
  hostPort: number;
  guestAddress: string;
  guestPort: number;
}

/** The `id` of the `-netdev user` that a rule belongs to. */
interface OfNetdev {
  netdev: string;
}

type Rule = HostForward & OfNetdev;

const isAddress = (value: unknown): boolean => typeof value === "string" && isIPv4(value);
const isPort = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) > 0 && Number(value) < 65536;

/**
 * What goes into a line of the human monitor is held to forms that leave no room for another option. By hand: a schema is compiled at its first use,
 * which takes longer than the change of a port.
 */
const forms: Record<keyof Rule, (value: unknown) => boolean> = {
  // As QEMU itself wants an id.
  netdev: (value) => typeof value === "string" && /^[A-Za-z][A-Za-z0-9._-]*$/.test(value),
  hostAddress: isAddress,
  hostPort: isPort,
  guestAddress: isAddress,
  guestPort: isPort,
};

function assertForms(values: Partial<Rule>): void {
  const wrong = Object.entries(values).filter(([key, value]) => !forms[key as keyof Rule](value));
  if (wrong.length === 0) return;
  throw new MicroVmError("InvalidArgument", "this is no forward of a host port", {
    evidence: wrong.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", "),
  });
}

/** Every TCP port that QEMU's user network forwards into the guest; none without such a network. */
export async function hostForwards(conn: QmpConnection, options?: WaitOptions): Promise<HostForward[]> {
  const text = await humanMonitorCommand(conn, "info usernet", options);
  if (text.startsWith("unknown command")) throw refused("info usernet", text);
  return parseHostForwards(text);
}

/**
 * Forwards one more port of a running VM. With `hostPort` 0 the system chooses a free one, which `hostForwards`
 * then tells. Throws `PortInUse` when QEMU cannot listen there, `Qmp` when it refuses for another reason (there
 * is no such netdev), `InvalidArgument` for what is no address, port or id.
 */
export async function addHostForward(
  conn: QmpConnection,
  forward: HostForward & OfNetdev,
  options?: WaitOptions,
): Promise<void> {
  const { netdev, hostAddress, hostPort, guestAddress, guestPort } = forward;
  assertForms({ netdev, hostAddress, ...(hostPort !== 0 && { hostPort }), guestAddress, guestPort });
  const line = `hostfwd_add ${netdev} tcp:${hostAddress}:${hostPort}-${guestAddress}:${guestPort}`;
  const text = await humanMonitorCommand(conn, line, options);
  // QEMU gives one text for every reason that listen(2) can have.
  if (text.startsWith("Could not set up host forwarding rule")) {
    throw new MicroVmError("PortInUse", `QEMU cannot listen on port ${hostPort} of ${hostAddress}`, {
      evidence: text.trim(),
      hint: "The port is taken or needs privileges, or the address is not one of this host.",
    });
  }
  if (text !== "") throw refused(line, text);
}

/**
 * Ends a forward, named by its real port. Connections through it stay open. Throws `Qmp` when there is none,
 * `InvalidArgument` for what is no address, port or id.
 */
export async function removeHostForward(
  conn: QmpConnection,
  forward: Pick<HostForward, "hostAddress" | "hostPort"> & OfNetdev,
  options?: WaitOptions,
): Promise<void> {
  const { netdev, hostAddress, hostPort } = forward;
  assertForms({ netdev, hostAddress, hostPort });
  const line = `hostfwd_remove ${netdev} tcp:${hostAddress}:${hostPort}`;
  const text = await humanMonitorCommand(conn, line, options);
  if (!text.trimEnd().endsWith(" removed")) throw refused(line, text);
}

const refused = (line: string, text: string): MicroVmError =>
  new MicroVmError("Qmp", `QEMU refused ${line}: ${text.trim()}`);

/** A TCP connection between the guest and somebody else. */
export interface GuestConnection {
  /** As QEMU's network sees it from the guest's other end: `ESTABLISHED`, `TIME_WAIT`, ... */
  state: string;
  /** Bytes of the guest's that the other end has not taken yet. */
  undelivered: number;
}

/** Those that QEMU's user network has; it remembers one in `TIME_WAIT` that both sides have closed. */
export async function guestConnections(
  conn: QmpConnection,
  options?: WaitOptions,
): Promise<GuestConnection[]> {
  return parseGuestConnections(await humanMonitorCommand(conn, "info usernet", options));
}

// Columns: protocol[state], file descriptor, source address and port, destination address and port, two
// queues.
const CONNECTION = /^\s*TCP\[(?!HOST_FORWARD)(\w+)\]\s+\d+\s+\S+\s+\d+\s+\S+\s+\d+\s+(\d+)/gm;
const FORWARD = /^\s*TCP\[HOST_FORWARD\]\s+\d+\s+(\S+)\s+(\d+)\s+(\S+)\s+(\d+)\s/gm;

/** The TCP rules in the text of `info usernet`; open connections and UDP rules are left out. */
export function parseHostForwards(text: string): HostForward[] {
  return [...text.matchAll(FORWARD)].map(([, hostAddress = "", hostPort, guestAddress = "", guestPort]) => ({
    hostAddress: hostAddress === "*" ? "0.0.0.0" : hostAddress,
    hostPort: Number(hostPort),
    guestAddress,
    guestPort: Number(guestPort),
  }));
}

/** The TCP connections in the text of `info usernet`, without the forwards' listeners. */
export function parseGuestConnections(text: string): GuestConnection[] {
  return [...text.matchAll(CONNECTION)].map(([, state = "", undelivered]) => ({
    state,
    undelivered: Number(undelivered),
  }));
}
