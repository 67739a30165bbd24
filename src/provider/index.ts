/**
 * The Pulumi provider: what the engine's plugin imports as `pulumi-microvm/provider` by the text in the state. One file
 * an operation; all work is the launcher's.
 */
import { check as checkInputs } from "./check.js";
import { create as createResource } from "./create.js";
import { remove as removeResource } from "./delete.js";
import { diff as diffResource } from "./diff.js";
import { attended } from "./engine.js";
import { read as readResource } from "./read.js";
import { update as updateResource } from "./update.js";
import { speaking } from "./words.js";

/** As the engine is served: what an operation throws is told in words, and what it began is not left half-way. */
const served = <A extends unknown[], R>(operation: (...args: A) => Promise<R>) =>
  speaking((...args: A) => attended(() => operation(...args)));

export const check = served(checkInputs);
export const diff = served(diffResource);
export const create = served(createResource);
export const read = served(readResource);
export const update = served(updateResource);
export const remove = served(removeResource);
