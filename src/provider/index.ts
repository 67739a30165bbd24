/**
 * The Pulumi provider: what the engine's plugin imports as `pulumi-microvm/provider` by the text in the state. One file
 * an operation; all work is the launcher's.
 */
export { check } from "./check.js";
export { diff } from "./diff.js";
export { create } from "./create.js";
export { read } from "./read.js";
export { update } from "./update.js";
export { remove } from "./delete.js";
