/**
 * What host and guest agree on: names, lines and kernel command line keys. `guest/init/src/contract.rs` holds the
 * guest's half; a test compares the two.
 */

/** virtio-serial port that only the guest writes; what it writes is led into a file on the host, so a write never blocks. */
export const READY_PORT = "org.microvm.ready.0";

/** `ready <nonce>`: the store is open and the server takes connections. Nothing but this VM's guest knows the nonce. */
export const READY_LINE = "ready";

/** `fatal <reason>`: the guest cannot serve and is about to power off; the reason is for the user. */
export const FATAL_LINE = "fatal";

/** `drained`: asked to drain, the guest has no connection open any more. It goes on serving those that may come. */
export const DRAINED_LINE = "drained";

/** virtio-serial port that only the host writes; on the host it is a socket on which QEMU listens. */
export const CONTROL_PORT = "org.microvm.ctl.0";

/** `drain`: each connection is to be closed after its next reply, or once it is idle. Harmless when said again. */
export const DRAIN_LINE = "drain";

/**
 * `clone <seed> <time> <nonce>`: this guest is one of several that go on from one saved state. It mixes the seed (32 bytes in
 * hexadecimal) into its random numbers, sets its clock (Unix time in seconds, with a fraction) and then writes
 * `ready <nonce>`.
 */
export const CLONE_LINE = "clone";

/** Kernel command line key of the nonce that the ready line repeats. */
export const NONCE_KEY = "microvm.nonce";

/** Kernel command line key of the TCP port the guest's HTTP server listens on (the seed's key). */
export const PORT_KEY = "rvf.port";

/** QEMU's user network as slirp lays it out: the guest's address, its prefix and the gateway. */
export const GUEST_ADDRESS = "10.0.2.15";
export const GUEST_PREFIX = 24;
export const GUEST_GATEWAY = "10.0.2.2";

/** Guest ports of the seed's contract: HTTP when the RVF names none, and SSH. */
export const DEFAULT_API_PORT = 8080;
export const SSH_PORT = 2222;

/** File in the initramfs that names the kernel modules to load, one file name a line, in order; they lie beside it. */
export const MODULE_ORDER = "/lib/modules/order";
