/** Reads the monitor's table of user-network connections. */

/** A forwarded TCP port of QEMU's user network. */
export interface HostForward {
  /** Where QEMU listens; `0.0.0.0` stands for every address. */
  hostAddress: string;
  /** The real port, also when the rule said 0 (any free one). */
  hostPort: number;
  guestAddress: string;
  guestPort: number;
}

// Columns: protocol[state], file descriptor, source address and port, destination address and port, two
// queues.
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
