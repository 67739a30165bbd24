//! The guest's half of what host and guest agree on; `src/appliance/contract.ts` is the host's. A test compares the two.

/// virtio-serial port that only the guest writes.
pub const READY_PORT: &str = "org.microvm.ready.0";

/// `ready <nonce>`: the store is open and the server takes connections.
pub const READY_LINE: &str = "ready";

/// `fatal <reason>`: the guest cannot serve and is about to power off.
pub const FATAL_LINE: &str = "fatal";

/// `drained`: asked to drain, the guest has no connection open any more.
pub const DRAINED_LINE: &str = "drained";

/// virtio-serial port that only the host writes.
pub const CONTROL_PORT: &str = "org.microvm.ctl.0";

/// `drain`: each connection is to be closed after its next reply, or once it is idle.
pub const DRAIN_LINE: &str = "drain";

/// `clone <seed> <time> <nonce>`: this guest is one of several that go on from one saved state.
pub const CLONE_LINE: &str = "clone";

/// Kernel command line key of the nonce that the ready line repeats.
pub const NONCE_KEY: &str = "microvm.nonce";

/// Kernel command line key of the TCP port to listen on.
pub const PORT_KEY: &str = "rvf.port";

/// QEMU's user network as slirp lays it out.
pub const GUEST_ADDRESS: &str = "10.0.2.15";
pub const GUEST_PREFIX: u8 = 24;
pub const GUEST_GATEWAY: &str = "10.0.2.2";

/// Port to listen on when the command line names none.
pub const DEFAULT_API_PORT: u16 = 8080;

/// File in the initramfs that names the kernel modules to load, one file name a line, in order; they lie beside it.
pub const MODULE_ORDER: &str = "/lib/modules/order";
