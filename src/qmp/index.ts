/**
 * Speaks QMP, QEMU's control protocol, over a unix socket: short connections, one line of JSON a message.
 * Knows the protocol and the few commands a launcher needs, nothing of VMs, records or processes.
 */
export { connectQmp, MAX_SOCKET_PATH_BYTES } from "./connect.js";
export type { QmpConnection, WaitOptions } from "./connection.js";
export type { EventsOptions } from "./events.js";
export type { QemuVersion, QmpEvent } from "./framing.js";
export { awaitState, saveState } from "./migration.js";
export { blockReads, queryStatus, quit, systemPowerdown, type QmpStatus } from "./commands.js";
export {
  addHostForward,
  guestConnections,
  hostForwards,
  removeHostForward,
  type GuestConnection,
  type HostForward,
} from "./usernet.js";
