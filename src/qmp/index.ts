/**
 * Speaks QMP, QEMU's control protocol, over a unix socket: short connections, one line of JSON a message.
 * Knows the protocol and the few commands a launcher needs, nothing of VMs, records or processes.
 */
export { connectQmp } from "./connect.js";
export type { QmpConnection, WaitOptions } from "./connection.js";
export type { QemuVersion, QmpEvent } from "./framing.js";
export { hostForwards, queryStatus, quit, systemPowerdown, type QmpStatus } from "./commands.js";
export type { HostForward } from "./usernet.js";
